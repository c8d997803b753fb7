"""Drawn livestock scenes: a barn, animals in it, and the picture a camera under the roof takes of them."""

from livestock_utils.sample.scenes.barns import Barn
from livestock_utils.sample.scenes.compose import Animal, Scene, build_barn, draw_scene, move, populate

__all__ = ["Animal", "Barn", "Scene", "build_barn", "draw_scene", "move", "populate"]

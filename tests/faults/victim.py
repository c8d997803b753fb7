"""The training that the fault harness kills: python victim.py data.yaml run-folder mirror-folder
epochs."""

import sys
from pathlib import Path


def main() -> None:
    """Train, writing a line to <run>.log when the library is loaded and after each epoch."""
    data, folder, mirror, epochs = sys.argv[1:]
    from livestock_utils.detect import yolov5
    from livestock_utils.detect.settings import TrainSettings
    from livestock_utils.show import training

    def say(text: str) -> None:
        with open(f"{folder}.log", "a", encoding="utf-8") as file:
            file.write(text + "\n")

    with yolov5.yolov5():
        say("ready")
    run = training.train(
        data,
        None,
        Path(folder),
        TrainSettings(
            epochs=int(epochs),
            close_mosaic=0.3,
            ema_epochs=1.0,
            image_size=64,
            batch_size=4,
            warmup_min_iterations=2,
            loggers=(),
            augmentation="light",
        ),
        mirror=mirror if mirror != "-" else None,
        on_epoch=lambda epoch, row: say(f"saved {epoch}"),
    )
    say(f"finished {run.finished}")


if __name__ == "__main__":
    main()

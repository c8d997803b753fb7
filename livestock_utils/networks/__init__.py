"""Networks: yolov5 behind one door, weights files, and the backends that run a network.

Nothing is imported here: processes that hold one network and no more use these modules.
"""

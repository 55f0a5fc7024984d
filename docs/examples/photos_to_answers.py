"""Photos to routed answers: python photos_to_answers.py PHOTOS NEW_PHOTOS [BOARD]"""

import sys
from pathlib import Path

import mcu_hybrid as mh

photos, new, board = (*sys.argv[1:], "mps2-an500")[:3]  # PHOTOS: one folder of images per class

mh.train(photos, "runs/train")
mh.export_model("runs/train", "runs/export")
build = mh.build("runs/export", board, "runs/build")
print(f"{mh.measure(build).arena_bytes:,} B of RAM for the network, every output equal to TFLM's")

with mh.serving("runs/export") as url:  # or a server of yours: Triton, KServe, OpenVINO ...
    ask = mh.PredictOptions(board=board, cloud=url)
    found = mh.predict("runs/build", sorted(Path(new).iterdir()), ask)
for answer in found.predictions:
    print(f"{answer.input}: {answer.name}, says the {answer.origin}")

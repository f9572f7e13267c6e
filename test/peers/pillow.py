"""Applies Pillow's operations to raw RGB images; test/peers/pillow.test.ts compares gvx's with them.

stdin: one JSON line {"file", "width", "height", "calls": [[name, argument, ...], ...]}
stdout: the results' pixels, one after the other.
"""
import json
import sys

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

FILL = (124, 116, 104)
BILINEAR = Image.BILINEAR


def affine(image, matrix):
    return image.transform(image.size, Image.AFFINE, matrix, resample=BILINEAR, fillcolor=FILL)


def solarize_add(image, add):
    return image.point([min(255, i + add) if i < 128 else i for i in range(256)] * 3)


OPERATIONS = {
    "resize": lambda im, w, h: im.resize((w, h), BILINEAR),
    "autoContrast": lambda im: ImageOps.autocontrast(im),
    "equalize": lambda im: ImageOps.equalize(im),
    "invert": lambda im: ImageOps.invert(im),
    "posterize": lambda im, bits: ImageOps.posterize(im, bits),
    "solarize": lambda im, threshold: ImageOps.solarize(im, threshold),
    "solarizeAdd": solarize_add,
    "adjustColor": lambda im, f: ImageEnhance.Color(im).enhance(f),
    "adjustContrast": lambda im, f: ImageEnhance.Contrast(im).enhance(f),
    "adjustBrightness": lambda im, f: ImageEnhance.Brightness(im).enhance(f),
    "adjustSharpness": lambda im, f: ImageEnhance.Sharpness(im).enhance(f),
    "rotate": lambda im, degrees: im.rotate(degrees, resample=BILINEAR, fillcolor=FILL),
    "shearX": lambda im, f: affine(im, (1, f, 0, 0, 1, 0)),
    "shearY": lambda im, f: affine(im, (1, 0, 0, f, 1, 0)),
    "translateX": lambda im, share: affine(im, (1, 0, share * im.size[0], 0, 1, 0)),
    "translateY": lambda im, share: affine(im, (1, 0, 0, 0, 1, share * im.size[1])),
}

request = json.loads(sys.stdin.readline())
with open(request["file"], "rb") as file:
    image = Image.frombytes("RGB", (request["width"], request["height"]), file.read())
for name, *arguments in request["calls"]:
    sys.stdout.buffer.write(OPERATIONS[name](image, *arguments).tobytes())

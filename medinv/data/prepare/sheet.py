"""A contact sheet: some images of each class and part, to be looked at before training."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from medinv.data.sets.info import PARTS, DataSetInfo
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.files import whole

_CELL, _GAP, _EACH, _MOST_CLASSES = 112, 6, 4, 12
_MARGIN, _LABEL, _HEAD = 20, 176, 78
_PAPER, _INK, _SOFT = (250, 250, 248), (28, 32, 38), (112, 118, 126)
_LINE = (255, 168, 0)


def draw_sheet(path: Path, info: DataSetInfo, data: LabelledImages) -> None:
    """Write a PNG: a row a class, a block of columns a part. Raises OutputError."""
    classes = info.classes[:_MOST_CLASSES]
    block = _EACH * (_CELL + _GAP) + 18
    width = _MARGIN * 2 + _LABEL + len(PARTS) * block
    height = _HEAD + len(classes) * (_CELL + _GAP + 10) + 40
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _head(draw, info, block)
    for row, name in enumerate(classes):
        top = _HEAD + row * (_CELL + _GAP + 10)
        total = sum(info.counts[part][name] for part in PARTS)
        _words(draw, name, (_MARGIN, top + 8))
        draw.text((_MARGIN, top + _CELL - 22), _many(total, "image"), _SOFT, _font(13))
        for column, part in enumerate((data.train, data.validation, data.test)):
            left = _MARGIN + _LABEL + column * block
            for k, number in enumerate(_some(part, row)):
                picture = _picture(part.images[number])
                if part.masks is not None:
                    picture = _outlined(picture, part.masks[number])
                sheet.paste(picture, (left + k * (_CELL + _GAP), top))
            count = info.counts[PARTS[column]][name]
            if not count:
                draw.text((left, top + _CELL // 2 - 8), "none", _SOFT, _font(13))
    more = len(info.classes) - len(classes)
    foot = info.disclaimer + (f"  {more} more classes are not shown." if more else "")
    draw.text((_MARGIN, height - 30), foot, _SOFT, _font(12))
    with whole(path) as stream:
        sheet.save(stream, "PNG")


def _head(draw: ImageDraw.ImageDraw, info: DataSetInfo, block: int) -> None:
    size = " x ".join(map(str, info.size)) + (" in colour" if info.channels == 3 else "")
    draw.text((_MARGIN, 14), info.name, _INK, _font(21))
    beside = draw.textlength(info.name, _font(21)) + _MARGIN + 14
    draw.text((beside, 20), f"{size}, {info.bits} bits", _SOFT, _font(14))
    for column, part in enumerate(PARTS):
        count = sum(info.counts[part].values())
        left = _MARGIN + _LABEL + column * block
        draw.text((left, 48), part, _INK, _font(15))
        said = f"{_many(count, 'image')}, {_many(info.patients[part], 'patient')}"
        draw.text((left + draw.textlength(part, _font(15)) + 10, 50), said, _SOFT, _font(13))


def _words(draw: ImageDraw.ImageDraw, name: str, place: tuple[int, int]) -> None:
    """A class name in as many lines as it takes, three at most."""
    lines, line = [], ""
    for word in name.replace("_", " ").split():
        longer = f"{line} {word}".strip()
        if line and draw.textlength(longer, _font(16)) > _LABEL - 14:
            lines.append(line)
            line = word
        else:
            line = longer
    for number, text in enumerate([*lines, line][:3]):
        while draw.textlength(text, _font(16)) > _LABEL - 14:
            text = text[:-2] + "…"
        draw.text((place[0], place[1] + 20 * number), text, _INK, _font(16))


def _some(part: Part, label: int) -> list[int]:
    """Images of a class, of as many patients as there are, spread over the part."""
    rows = np.flatnonzero(part.labels == label)
    firsts = rows[np.unique(part.patients[rows], return_index=True)[1]]
    rest = np.setdiff1d(rows, firsts)
    chosen = firsts[np.linspace(0, len(firsts) - 1, min(_EACH, len(firsts))).astype(int)]
    return [*np.sort(chosen).tolist(), *rest[: _EACH - len(chosen)].tolist()]


def _picture(image: np.ndarray) -> Image.Image:
    """(C, *size) to a picture that fits a cell; of a volume the slice in the middle."""
    levels = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
    if levels.ndim == 4:
        levels = levels[:, levels.shape[1] // 2]
    picture = Image.fromarray(levels[0] if len(levels) == 1 else np.moveaxis(levels, 0, -1))
    scale = _CELL / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    way = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    cell = Image.new("RGB", (_CELL, _CELL), (0, 0, 0))
    shown = picture.convert("RGB").resize((size[0], size[1]), way)
    cell.paste(shown, ((_CELL - size[0]) // 2, (_CELL - size[1]) // 2))
    return cell


def _outlined(picture: Image.Image, mask: np.ndarray) -> Image.Image:
    """With a line around what a mask (1, H, W) covers."""
    shape = Image.fromarray(mask[0])
    scale = _CELL / max(shape.size)
    size = (max(1, round(shape.width * scale)), max(1, round(shape.height * scale)))
    cell = Image.new("L", (_CELL, _CELL), 0)
    cell.paste(shape.resize(size), ((_CELL - size[0]) // 2, (_CELL - size[1]) // 2))
    inner = cell.filter(ImageFilter.MinFilter(3))
    line = ImageChops.subtract(cell, inner).point(lambda level: 255 * (level > 127))
    return Image.composite(Image.new("RGB", picture.size, _LINE), picture, line)


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + "s" * (count != 1)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)

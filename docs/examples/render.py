"""Render the example scene: a furry creature with whiskers before an unsharp garden.

Everything is drawn here, so its true alpha is known. Writes fluff.jpg, fluff_trimap.png and
fluff_truth.png beside this file. Needs the [train] extra.

    python docs/examples/render.py
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 768, 576
SAMPLES = 4  # a side of a pixel
SHIFT = 4
HERE = Path(__file__).parent

Floats = NDArray[np.float64]


def fixed(points: Floats) -> NDArray[np.int32]:
    """Turn pixel coordinates into OpenCV's fixed-point ones of the enlarged canvas."""
    return np.round(points * (SAMPLES << SHIFT)).astype(np.int32)


def strand(rng: np.random.Generator, root: Floats, angle: float, length: float, droop: float) -> Floats:
    """Return eight points of a bending strand."""
    headings = angle + droop * np.linspace(0, 1, 8) + rng.normal(0, 0.35) * np.linspace(0, 1, 8) ** 2
    moves = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length / 7)
    return root + np.cumsum(moves, axis=0) - moves[0]


class Canvas:
    """Colour and coverage, enlarged, drawn together."""

    def __init__(self) -> None:
        size = HEIGHT * SAMPLES, WIDTH * SAMPLES
        self.colour = np.zeros((*size, 3), np.uint8)
        self.cover = np.zeros(size, np.uint8)

    def line(self, points: Floats, colour: Floats, width: float) -> None:
        """Draw a tapering strand; ``width`` in pixels of the result."""
        rgb = tuple(int(c) for c in np.clip(colour, 0, 255))
        for first, last, share in ((0, 4, 1.0), (3, 6, 0.7), (5, 8, 0.4)):
            thickness = max(1, round(width * SAMPLES * share))
            for canvas, value in ((self.colour, rgb), (self.cover, 255)):
                cv2.polylines(canvas, [fixed(points[first:last])], False, value, thickness, cv2.LINE_8, SHIFT)

    def disc(self, centre: Floats, radius: Floats, colour: tuple[int, int, int]) -> None:
        """Draw a filled ellipse."""
        for canvas, value in ((self.colour, colour), (self.cover, 255)):
            cv2.ellipse(canvas, fixed(centre), fixed(radius), 0, 0, 360, value, -1, cv2.LINE_8, SHIFT)


def fur(canvas: Canvas, rng: np.random.Generator, centre: Floats, radius: Floats, count: int) -> None:
    """Cover an ellipse with strands from its rim inwards, so that nearer ones hide farther ones."""
    canvas.disc(centre, 0.97 * radius, (150, 104, 60))
    reach = np.sort(rng.beta(1.6, 1.0, count))[::-1]
    for share in reach:
        angle = rng.uniform(0, 2 * np.pi)
        root = centre + share * radius * (np.cos(angle), np.sin(angle))
        light = 0.62 - 0.28 * np.sin(angle) * share + rng.normal(0, 0.11)
        base = np.array([236, 176, 104]) if rng.random() < 0.72 else np.array([250, 222, 178])
        length = rng.uniform(16, 46) * (1.25 if share > 0.93 else 0.8)
        points = strand(rng, root, angle + rng.normal(0, 0.4), length, 0.35 * np.cos(angle))
        canvas.line(points, base * light * 1.25, rng.uniform(0.5, 1.7))


def creature(rng: np.random.Generator) -> Canvas:
    """Draw ears, body, face and whiskers."""
    canvas = Canvas()
    for x in (285, 483):
        fur(canvas, rng, np.array([x, 178.0]), np.array([44.0, 66.0]), 2200)
    fur(canvas, rng, np.array([384.0, 350.0]), np.array([192.0, 168.0]), 13000)
    for x in (316, 452):
        for place, radius, colour in (
            ((x, 318), 25, (250, 246, 235)),
            ((x, 320), 19, (52, 34, 26)),
            ((x + 6, 312), 6, (255, 255, 255)),
        ):
            canvas.disc(np.array(place), np.full(2, radius), colour)
    canvas.disc(np.array([384, 372]), np.array([15, 11]), (96, 52, 48))
    for side in (-1, 1):
        for number in range(6):
            angle = (0 if side > 0 else np.pi) + side * (number - 2.5) * 0.13 + rng.normal(0, 0.03)
            root = np.array([384 + side * 30.0, 384 + 3.0 * number])
            canvas.line(strand(rng, root, angle, rng.uniform(215, 285), side * 0.25), np.full(3, 248.0), 0.9)
    return canvas


def garden(rng: np.random.Generator) -> NDArray[np.float32]:
    """Paint unsharp leaves, blossoms and lights, [H, W, 3] in [0, 255]."""
    scene = np.full((HEIGHT, WIDTH, 3), (62, 92, 58), np.uint8)
    scene[:] = (np.linspace(1.25, 0.7, HEIGHT)[:, None, None] * scene).astype(np.uint8)
    palette = [(94, 132, 66), (44, 74, 52), (130, 156, 92), (96, 110, 150), (70, 100, 112), (58, 84, 96)]
    for sigma, count, size in ((9, 260, 46), (6, 160, 30), (4, 50, 16)):
        for _ in range(count):
            colour = np.clip(np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.7, 1.3), 0, 255)
            centre = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
            axes = int(rng.uniform(4, size)), int(rng.uniform(4, size))
            cv2.ellipse(scene, centre, axes, rng.uniform(0, 180), 0, 360, colour.tolist(), -1, cv2.LINE_AA)
        scene = cv2.GaussianBlur(scene, (0, 0), sigma)
    return scene.astype(np.float32)


def main() -> None:
    """Render the scene and write its three pictures."""
    rng = np.random.default_rng(7)
    behind = garden(rng)
    canvas = creature(rng)
    size = WIDTH, HEIGHT
    alpha = cv2.resize(canvas.cover, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    covered = canvas.colour * (canvas.cover[..., None] > 0)
    premultiplied = cv2.resize(covered, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    image = premultiplied + (1 - alpha[..., None]) * behind + rng.normal(0, 2.0, behind.shape)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15))
    trimap = np.full((HEIGHT, WIDTH), 128, np.uint8)
    trimap[cv2.erode((alpha > 0.99).astype(np.uint8), kernel) > 0] = 255
    trimap[cv2.erode((alpha < 0.01).astype(np.uint8), kernel) > 0] = 0
    photograph = np.clip(image, 0, 255).astype(np.uint8)[..., ::-1]
    cv2.imwrite(str(HERE / "fluff.jpg"), photograph, [cv2.IMWRITE_JPEG_QUALITY, 94])
    cv2.imwrite(str(HERE / "fluff_trimap.png"), trimap)
    cv2.imwrite(str(HERE / "fluff_truth.png"), np.round(alpha * 255).astype(np.uint8))


if __name__ == "__main__":
    main()

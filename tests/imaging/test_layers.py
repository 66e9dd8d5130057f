"""Files of several pictures: the picture is taken, never its depth; a choice is told, and can be made."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support import fakes

from diffmatte_cli.errors import ImageError
from diffmatte_cli.imaging.grey import decode_grey, decode_opacity
from diffmatte_cli.imaging.layers import NoLayerError, Part, data_of, photograph_of
from diffmatte_cli.imaging.read import decode_image, read_image, reads_deep
from diffmatte_cli.imaging.receipts import read_receipt

SHAPE = (fakes.HEIGHT, fakes.WIDTH)
KINDS = ("red", "lime", "blue")


def _rgb(prefix: str = "", letters: str = "RGB") -> list[str]:
    return [f"{prefix}{letter}" for letter in letters]


# Channels of parts by name, and the part and first channel of the picture, as OpenImageIO orders them.
PICTURES: dict[str, tuple[list[Part], tuple[int, str]]] = {
    "unnamed before layers": ([Part("x", [*_rgb("diffuse."), *_rgb()])], (0, "R")),
    "depth first": ([Part("depth", ["Z"]), Part("rgba", _rgb())], (1, "R")),
    "depth as colour": ([Part("depth", _rgb()), Part("final", _rgb())], (1, "R")),
    "Blender": (
        [Part("", [*_rgb("View.AO."), *_rgb("View.Combined.", "RGBA"), "View.Depth.Z"])],
        (0, "View.Combined.R"),
    ),
    "Blender, parts": (
        [Part("View.Normal", ["View.Normal.X"]), Part("V.Combined", _rgb("V.Combined."))],
        (1, "V.Combined.R"),
    ),
    "Nuke's long names": (
        [Part("", ["N.red", "N.green", "N.blue", "key.red", "key.green", "key.blue"])],
        (0, "key.red"),
    ),
    "Houdini": ([Part("N", _rgb()), Part("albedo", _rgb()), Part("C", _rgb())], (2, "R")),
    "beauty before others": ([Part("", [*_rgb("albedo."), *_rgb("beauty.")])], (0, "beauty.R")),
    "a mask beside": ([Part("", [*_rgb("mask."), *_rgb("render.")])], (0, "render.R")),
    "normals are no grey": ([Part("", ["N.X", "N.Y", "N.Z", *_rgb("key.")])], (0, "key.R")),
    "names of things": (
        [Part("", [*_rgb("ObjectId."), *_rgb("cryptoMaterial00."), *_rgb("motionblur.")])],
        (0, "motionblur.R"),
    ),
    "grey": ([Part("", ["Y", "Z"])], (0, "Y")),
    "one channel": ([Part("", ["R"])], (0, "R")),
    "views": ([Part("rgba.left", _rgb()), Part("rgba.right", _rgb())], (0, "R")),
    "nothing of two dimensions": ([Part("", ()), Part("C", _rgb())], (1, "R")),
}
TOLD = {"Blender", "Houdini", "beauty before others", "views"}


@pytest.mark.parametrize("kind", PICTURES)
def test_the_picture_is_known_by_its_name(kind: str) -> None:
    parts, (place, first) = PICTURES[kind]
    part, channels, told = photograph_of(parts)
    names = parts[part].channels
    assert (part, names[channels["R" if "R" in channels else "Y"]]) == (place, first)
    assert bool(told) == (kind in TOLD)


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        (["Z"], "but Z$"),
        (["N.X", "N.Y", "N.Z"], r"but N\.X, N\.Y, N\.Z$"),
        (_rgb("depth."), r"but depth\.R"),
        (["mask"], "but mask$"),
        (["BY", "RY", "Y"], "but BY, RY, Y$"),
        (["X", "Y", "Z"], "but X, Y, Z$"),
    ],
)
def test_data_are_no_photograph(channels: list[str], words: str) -> None:
    with pytest.raises(NoLayerError, match=rf"^it has no channels R, G and B, nor Y, that are a picture, {words}"):
        photograph_of([Part("", channels)])


def test_names_of_things_are_no_colour() -> None:
    with pytest.raises(NoLayerError):
        photograph_of([Part("", _rgb(), frozenset("RGB"))])


def test_a_layer_is_chosen_by_all_of_its_name_or_its_end() -> None:
    parts = [Part("depth", ["Z"]), Part("View", [*_rgb("AO."), *_rgb("Combined.")]), Part("N", ["X", "Y", "Z"])]
    assert photograph_of(parts, "View.AO") == photograph_of(parts, "ao") == (1, {"R": 0, "G": 1, "B": 2}, None)
    assert photograph_of(parts, "depth") == (0, {"Y": 0}, None)
    with pytest.raises(NoLayerError, match=r"^it has no layer beauty: it has depth, View\.AO, View\.Combined, N$"):
        photograph_of(parts, "beauty")
    with pytest.raises(NoLayerError, match=r"^its layer N has no channels R, G and B, nor Y$"):
        photograph_of(parts, "N")
    with pytest.raises(NoLayerError, match=r"^it has more than one layer b: "):
        photograph_of([Part("", [*_rgb("a.b."), *_rgb("c.b.")])], "b")


@pytest.mark.parametrize(
    ("channels", "wanted", "first"),
    [
        (["R", "G", "B", "A"], None, "R"),
        (["R", "G", "B", "mask.Y"], "mask", "mask.Y"),
        (["R", "G", "B", "mask.Y"], "mask.y", "mask.Y"),
        (["R", "G", "B", "A"], "A", "A"),
        ([*_rgb("depth."), *_rgb("trimap.")], None, "trimap.R"),
        (["matte.Y"], None, "matte.Y"),
        (["anything"], None, "anything"),
        (["Z"], "Z", "Z"),
    ],
)
def test_a_trimap_may_be_any_channel(channels: list[str], wanted: str | None, first: str) -> None:
    part, found, _ = data_of([Part("", channels)], wanted)
    assert (part, channels[min(found.values())]) == (0, first)


@pytest.mark.parametrize("channels", [["Z"], ["a.k", "b.k"], ["N.X", "N.Y", "N.Z"]])
def test_which_channel_is_a_trimap_is_asked(channels: list[str]) -> None:
    with pytest.raises(
        NoLayerError, match=f"^which channel of {', '.join(channels)} is meant cannot be told: name it$"
    ):
        data_of([Part("", channels)])


@pytest.fixture
def layered(cat_folder: Path) -> Path:
    """A file of three parts: depth, a picture whose alpha is the trimap, and another picture."""
    library = pytest.importorskip("OpenEXR", reason="needs OpenEXR, of the extra test")
    pytest.importorskip("OpenImageIO", reason="needs the extra vfx (OpenImageIO)")
    trimap = fakes.cat_trimap().astype(np.float32) / 255

    def flat(value: float) -> np.ndarray:
        return np.full(SHAPE, value, np.float32)

    def part(name: str, channels: dict[str, np.ndarray]) -> Any:
        return library.Part({"type": library.scanlineimage}, channels, name)

    parts = [
        part("depth", {"Z": flat(50)}),
        part("rgba", {"R": flat(0.1), "G": flat(0.2), "B": flat(0.3), "mask": trimap}),
        part("albedo", {"R": flat(0.4), "G": flat(0.5), "B": flat(0.6)}),
    ]
    library.File(parts).write("x.exr")
    return Path("x.exr")


def test_parts_of_a_file(layered: Path) -> None:
    content = layered.read_bytes()
    photo = read_image(layered)
    assert photo.deep is not None
    np.testing.assert_allclose(photo.deep[0, 0], [0.1, 0.2, 0.3])
    assert photo.notes == (
        "it holds several pictures (rgba, albedo), of which rgba is taken: name another as its layer",
    )
    other = decode_image(content, layered, layer="albedo")
    assert other.deep is not None
    np.testing.assert_allclose(other.deep[0, 0], [0.4, 0.5, 0.6])
    assert other.notes == ()
    for opacity in (decode_opacity(content, layered, channel="mask"), decode_grey(content, layered, "rgba.mask")):
        assert opacity is not None
        np.testing.assert_allclose(opacity.levels, fakes.cat_trimap() / 255, atol=1e-6)
    with pytest.raises(ImageError, match=r"^cannot read x\.exr: it has no layer beauty: it has depth, rgba, albedo$"):
        decode_image(content, layered, layer="beauty")


def test_a_layer_and_a_channel_are_part_of_the_receipt(layered: Path, matter: fakes.FakeMatter) -> None:
    def run(*more: str) -> str:
        done = fakes.run(
            "matte", "x.exr", "--trimap", "alpha", "--channel", "mask", "--steps", "2", "-o", "o.png", *more
        )
        assert done.exit_code == 0, done.stderr
        return done.stderr

    assert "rgba is taken" in run()
    first = read_receipt(Path("o.png"))
    assert first is not None
    assert (first.layer, first.channel) == (None, "mask")
    assert "skipped" in run("--skip-existing")
    assert "skipped" not in run("--skip-existing", "--layer", "albedo")
    again = read_receipt(Path("o.png"))
    assert again is not None
    assert again.layer == "albedo"
    assert matter.encoded[-1][0][0, 0].tolist() == [170, 188, 203]  # 0.4, 0.5 and 0.6 as sRGB


def test_check_and_trimap_take_them_too(layered: Path) -> None:
    done = fakes.run("check", "x.exr", "--trimap", "alpha", "--layer", "albedo", "--channel", "mask")
    assert f"{SHAPE[1]}x{SHAPE[0]}" in done.stdout
    assert "unreadable" not in done.stdout
    made = fakes.run("trimap", "x.exr", "--channel", "mask", "-o", "t.png")
    assert made.exit_code == 0, made.stderr
    assert (np.asarray(Image.open("t.png"))[fakes.cat_trimap() == 255] > 0).all()


def _pages(*kinds: int, mode: str = "RGB", side: int = 8) -> bytes:
    """Return a TIFF with a page of another colour for each NewSubfileType; reduced ones are half as large."""
    images = []
    for colour, kind in zip(KINDS, kinds, strict=False):
        image = Image.new("RGB", (side // (1 + kind),) * 2, colour).convert(mode)
        image.encoderinfo = {"tiffinfo": {254: kind}}
        images.append(image)
    buffer = io.BytesIO()
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:], tiffinfo={254: kinds[0]})
    return buffer.getvalue()


def _colour_of(content: bytes, **choice: str) -> str:
    pixel = decode_image(content, Path("x"), **choice).pixels[0, 0]
    return KINDS[int(pixel.argmax())]


@pytest.mark.parametrize(
    ("kinds", "taken", "told"),
    [
        ((0,), "red", None),
        ((1, 0), "lime", None),
        ((0, 1), "red", None),
        ((0, 0, 1), "red", "it has 2 pages, of which number 1 is taken: name another as its layer"),
        ((1, 0, 0), "lime", "it has 2 pages, of which number 2 is taken: name another as its layer"),
        ((1, 1), "red", "it has 2 pages, of which number 1 is taken: name another as its layer"),
    ],
)
def test_a_page_in_full_size_is_the_picture(kinds: tuple[int, ...], taken: str, told: str | None) -> None:
    content = _pages(*kinds)
    assert _colour_of(content) == taken
    assert decode_image(content, Path("x")).notes == ((told,) if told else ())
    last = len(kinds)
    assert _colour_of(content, layer=str(last)) == KINDS[last - 1]
    assert decode_image(content, Path("x"), layer="1").notes == ()


@pytest.mark.parametrize("layer", ["0", "4", "-1", "Combined", "1.5"])
def test_a_page_that_is_not_there(layer: str) -> None:
    words = rf"^cannot read x: it has no layer {layer}: it has 3 pages, chosen by number, from 1$"
    with pytest.raises(ImageError, match=words):
        decode_image(_pages(0, 0, 0), Path("x"), layer=layer)
    with pytest.raises(ImageError, match=f"it has no layer {layer}: it has one frame"):
        decode_image(_frames("PNG", 1), Path("x"), layer=layer)


def test_pages_of_16_bits_are_chosen_alike(cat_folder: Path) -> None:
    oiio = pytest.importorskip("OpenImageIO", reason="needs the extra vfx (OpenImageIO)")
    spec = oiio.ImageSpec(8, 8, 3, "uint16")
    thumbnail = oiio.ImageSpec(4, 4, 3, "uint8")
    output = oiio.ImageOutput.create("x.tif")
    assert output.open("x.tif", (thumbnail, spec))
    output.write_image(np.full((4, 4, 3), 9, np.uint8))
    assert output.open("x.tif", spec, "AppendSubimage")
    output.write_image(np.full((8, 8, 3), 40_000, np.uint16))
    output.close()
    content = bytearray(Path("x.tif").read_bytes())
    assert not reads_deep(bytes(content))
    photo = decode_image(bytes(content), Path("x.tif"), layer="2")
    assert photo.deep is not None
    assert (photo.deep == 40_000).all()
    assert reads_deep(bytes(content), "2")


def _frames(form: str, count: int = 3) -> bytes:
    images = [Image.new("RGB", (64, 64), colour) for colour in KINDS[:count]]
    buffer, several = io.BytesIO(), {"save_all": True, "append_images": images[1:]} if count > 1 else {}
    images[0].save(buffer, form, **several)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "AVIF"])
def test_the_first_frame_of_an_animation_is_told(form: str) -> None:
    content = _frames(form)
    assert _colour_of(content) == "red"
    assert decode_image(content, Path("x")).notes == (
        "it has several frames, of which number 1 is taken: name another as its layer",
    )
    assert _colour_of(content, layer="3") == "blue"
    assert decode_image(_frames(form, 1), Path("x")).notes == ()


def test_what_a_camera_adds_to_its_picture_is_not_told() -> None:
    content = _frames("MPO")
    assert _colour_of(content) == "red"
    assert decode_image(content, Path("x")).notes == ()


def test_of_heif_the_primary_image_is_taken() -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the heic extra")
    file, buffer = pillow_heif.HeifFile(), io.BytesIO()
    for colour in KINDS:
        file.add_from_pillow(Image.new("RGB", (64, 64), colour))
    file.save(buffer, primary_index=1)
    assert _colour_of(buffer.getvalue()) == "lime"
    (told,) = decode_image(buffer.getvalue(), Path("x")).notes
    assert "number 2 is taken" in told
    assert _colour_of(buffer.getvalue(), layer="3") == "blue"

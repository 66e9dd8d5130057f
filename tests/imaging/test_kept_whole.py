"""What a result keeps of its photograph, and the receipt of how it was made."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, PngImagePlugin, TiffImagePlugin
from support import fakes

from diffmatte_cli.imaging import oiio
from diffmatte_cli.imaging.encoding import Result
from diffmatte_cli.imaging.exif import described
from diffmatte_cli.imaging.formats import WRITERS
from diffmatte_cli.imaging.read import read_image
from diffmatte_cli.imaging.receipts import Receipt, read_receipt
from diffmatte_cli.imaging.write import write_images
from diffmatte_cli.settings import Computing, Sampling

RECEIPT = Receipt(
    program="1.0",
    weights="a" * 64,
    image="b" * 64,
    trimap="alpha",
    result="cutout",
    bits=8,
    sampling=Sampling(seed=2**63 - 1, input_scale=0.2, until_stable=0.5),
    computing=Computing(memory=2**30),
    input_space="auto",
    deep=False,
)
RGBA = np.random.default_rng(0).integers(0, 256, (7, 5, 4)).astype(np.uint8)


def _exif() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Copyright] = "(c) Somebody"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.ExposureTime: TiffImagePlugin.IFDRational(1, 250),
            ExifTags.Base.DateTimeOriginal: "2026:11:01 10:00:00",
            ExifTags.Base.ExifImageWidth: 9999,
        }
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.0, 30.0, 0.0)})
    return exif.tobytes()


@pytest.mark.parametrize("source", ["x.jpg", "x.tif", "x.png", "x.webp"])
@pytest.mark.parametrize("form", fakes.BY_PILLOW)
def test_profile_resolution_and_exif_survive_in_cutouts(source: str, form: str, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Image.fromarray(np.zeros((5, 7, 3), np.uint8))
    picture.save(tmp_path / source, exif=_exif(), icc_profile=profile, dpi=(300, 200))
    photo = read_image(tmp_path / source)
    assert photo.pixels.shape == (7, 5, 3)  # turned upright
    path = tmp_path / f"out{WRITERS[form].suffixes[0]}"
    write_images([Result(path, RGBA, icc_profile=photo.icc_profile, dpi=photo.dpi, exif=photo.exif, receipt=RECEIPT)])
    with Image.open(path) as result:
        np.testing.assert_array_equal(np.asarray(result), RGBA)
        assert result.info["icc_profile"] == profile
        exif = result.getexif()
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        assert exif[ExifTags.Base.Make] == "Maker"
        assert exif[ExifTags.Base.Copyright] == "(c) Somebody"
        details = exif.get_ifd(ExifTags.IFD.Exif)
        assert float(details[ExifTags.Base.ExposureTime]) == pytest.approx(1 / 250)
        assert details[ExifTags.Base.DateTimeOriginal] == "2026:11:01 10:00:00"
        assert ExifTags.Base.ExifImageWidth not in details
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
        if form != "webp" and source != "x.webp":  # WebP has no field for it
            assert result.info["dpi"] == pytest.approx((200, 300), rel=0.01)
    assert read_receipt(path) == RECEIPT


def test_the_old_file_leaves_no_trace_of_its_layout(tmp_path: Path) -> None:
    big = Image.fromarray(np.zeros((300, 400, 3), np.uint8))
    big.save(tmp_path / "x.tif", compression="tiff_lzw")
    photo = read_image(tmp_path / "x.tif")
    write_images([Result(tmp_path / "y.tif", RGBA, exif=photo.exif)])
    with Image.open(tmp_path / "y.tif") as result:
        assert result.size == (5, 7)
        np.testing.assert_array_equal(np.asarray(result), RGBA)


def test_no_exif_and_damaged_exif_are_no_exif(tmp_path: Path) -> None:
    picture = Image.fromarray(np.zeros((5, 7, 3), np.uint8))
    picture.save(tmp_path / "plain.jpg")
    assert read_image(tmp_path / "plain.jpg").exif is None
    picture.save(tmp_path / "bad.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_image(tmp_path / "bad.jpg").exif is None

    def broken() -> Image.Exif:
        raise ValueError

    assert described(broken) is None


@pytest.mark.parametrize("form", fakes.FORMATS)
@pytest.mark.parametrize("mode", ["alpha", "cutout"])
def test_receipts_come_back_from_every_format(form: str, mode: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{WRITERS[form].suffixes[0]}"
    pixels = RGBA if mode == "cutout" else np.ones((7, 5), np.float32)
    for bits in WRITERS[form].bits if mode == "alpha" else (8,):
        receipt = replace(RECEIPT, bits=bits, program='<&"]]>')
        write_images([Result(path, pixels, bits, receipt=receipt)])
        assert read_receipt(path) == receipt


def test_files_without_a_receipt(tmp_path: Path) -> None:
    assert read_receipt(tmp_path / "none.png") is None
    assert read_receipt(tmp_path) is None
    write_images([Result(tmp_path / "x.png", RGBA)])
    assert read_receipt(tmp_path / "x.png") is None
    write_images([Result(tmp_path / "y.png", RGBA, receipt=RECEIPT)])
    whole = (tmp_path / "y.png").read_bytes()
    (tmp_path / "y.png").write_bytes(whole.replace(b'"seed"', b'"sead"'))
    assert read_receipt(tmp_path / "y.png") is None


@pytest.mark.parametrize("form", fakes.FORMATS)
@given(data=st.data())
def test_a_changed_file_never_passes_for_the_finished_one(form: str, data: st.DataObject) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 4)).astype(np.uint8)
    with TemporaryDirectory() as folder:
        path = Path(folder, f"x{WRITERS[form].suffixes[0]}")
        write_images([Result(path, noise, receipt=RECEIPT)])
        content = bytearray(path.read_bytes())
        where = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            del content[where:]
        else:
            content[where] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        if read_receipt(path) is not None:
            if form == "exr":
                planes = oiio.read_all(path.read_bytes(), 10**6)[0]
                found = np.stack([planes[name] for name in "RGBA"], axis=-1)
                np.testing.assert_array_equal(found, (noise / np.float32(255)).astype(np.float16))
            else:
                with Image.open(path) as picture:
                    np.testing.assert_array_equal(np.asarray(picture), noise)


def test_a_result_scaled_by_somebody_is_not_the_finished_one(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    write_images([Result(path, RGBA, receipt=RECEIPT)])
    with Image.open(path) as picture:
        text = PngImagePlugin.PngInfo()
        text.add_text("diffmatte", picture.info["diffmatte"])
        picture.resize((9, 9)).save(path, pnginfo=text)
    assert read_receipt(path) is None


def test_a_receipt_is_one_flat_record_that_older_programs_wrote_too() -> None:
    record = RECEIPT.record()
    assert not any(isinstance(value, dict) for value in record.values())
    assert record.keys() == {
        *("program", "weights", "image", "trimap", "result", "bits", "seed", "steps", "sampler", "schedule"),
        *("input_scale", "keep_known", "attention_grids", "precision", "until_stable", "path", "input_space", "deep"),
        *("layer", "channel", "seeds", "foreground", "background", "linear_light", "premultiplied", "space"),
        *("mask", "band", "quality", "download", "preprocessing"),
    }
    assert Receipt.of(record) == RECEIPT
    assert Receipt.of(record | {"path": "plain"}) == replace(RECEIPT, computing=Computing(plain=True))
    for name in ("schedule", "keep_known", "layer", "channel", "mask", "band", "quality"):  # as if they had come later
        del record[name]
    assert Receipt.of(record) == RECEIPT
    assert Receipt.of(record) != replace(RECEIPT, sampling=replace(RECEIPT.sampling, schedule="cosine"))

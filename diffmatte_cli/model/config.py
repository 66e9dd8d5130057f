"""Model variants as data: one row each, nothing imported beyond the standard library."""

from dataclasses import dataclass, field, replace

from ..errors import UsageError

__all__ = ["MOST_POSITIONS", "PREPROCESSING", "VARIANTS", "ModelConfig", "check_attention_grids", "grids_for"]

# Global attention over more patches than this (of 16 x 16 pixels) is divided into grids, as many as the authors use.
MOST_POSITIONS = 2**15
GRIDS = 3
# How a photograph becomes the network's input: as every published network was trained, or as the Hub's image processor
# does it for ViTMatte.
PREPROCESSING = ("trained", "hub")
SIZE_MULTIPLE = 32


@dataclass(frozen=True)
class ModelConfig:
    """What fixes a network's shape, and the noise process it was trained for.

    ``encoder`` names a module of ``encoders`` and ``encoder_options`` what it asks for beside the rest;
    ``feature_channels`` is the paper's N_F, ``feature_stride`` the factor between image and feature (16 or 32),
    ``decoder_width`` N_d. With ``global_attention`` each patch of the image attends to all others. With
    ``trimap_as_value`` the encoder sees the trimap as one plane of 0, 0.5 and 1, otherwise one-hot. With ``priors`` the
    condition also carries the seven colour-prior planes of ``diffmatte_cli.priors.colours`` and the decoder corrects
    their alpha. ``schedule``, ``input_scale`` and ``noise`` are those of ``samplers.Diffusion``. ``iterates`` tells the
    diffusion decoder from ViTMatte's, which gives alpha at once and has no use for those, nor for ``decoder_width``.
    ``preprocessing`` is one of ``PREPROCESSING``.
    """

    variant: str
    encoder: str
    feature_channels: int
    feature_stride: int
    encoder_options: dict[str, int] = field(default_factory=dict)
    global_attention: bool = False
    trimap_as_value: bool = False
    priors: bool = False
    decoder_width: int = 32
    schedule: str = "linear"
    input_scale: float = 0.2
    noise: bool = True
    iterates: bool = True
    preprocessing: str = PREPROCESSING[0]

    @property
    def condition_channels(self) -> int:
        """Planes of the decoder's condition: RGB and one-hot trimap, and the priors if any (N_c - 1)."""
        return 13 if self.priors else 6

    @property
    def encoder_channels(self) -> int:
        """Planes of the encoder's input."""
        return 4 if self.trimap_as_value else self.condition_channels

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width that the network sees of an image, multiples of 32.

        As in the published code, once one side is off, a side that already is a multiple grows by 32 too; results
        depend on it. The Hub's image processor pads each side alone.
        """
        off = height % SIZE_MULTIPLE or width % SIZE_MULTIPLE
        grown = SIZE_MULTIPLE if off and self.preprocessing == "trained" else SIZE_MULTIPLE - 1
        rows, columns = ((side + grown) // SIZE_MULTIPLE * SIZE_MULTIPLE for side in (height, width))
        return rows, columns


_VIT = ModelConfig("", "vit", 384, 16, {"heads": 6, "image_size": 512}, global_attention=True, trimap_as_value=True)
_WIDE = replace(_VIT, feature_channels=768, encoder_options={"heads": 12, "image_size": 512})
# The published variants' values are those of the released configurations: their checkpoints fit no others.
_ROWS = (
    ModelConfig("tiny", "efficientnet", 192, 16, priors=True, decoder_width=16),
    ModelConfig("res34", "resnet", 512, 32),
    ModelConfig("swint", "swin", 768, 32),
    replace(_VIT, variant="vits"),
    replace(_VIT, variant="vits-1024", encoder_options={"heads": 6, "image_size": 1024}),
    replace(_WIDE, variant="vitb"),
    replace(_VIT, variant="vitmatte-s", iterates=False),
    replace(_WIDE, variant="vitmatte-b", iterates=False),
)
VARIANTS = {row.variant: row for row in _ROWS}


def grids_for(height: int, width: int) -> int:
    """Return the grids a side that a ViT's global attention uses for a padded picture unless told otherwise."""
    return GRIDS if height * width > MOST_POSITIONS * 16**2 else 1


def check_attention_grids(count: int, variant: str) -> None:
    """Raise UsageError for a number of grids a side that ``variant`` cannot use."""
    if count > 1 and not VARIANTS[variant].global_attention:
        raise UsageError(f"{variant} has no global attention: leave attention grids at 1", "attention_grids")

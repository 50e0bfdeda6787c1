"""What a line may say about a vision model: every number the family uses, with its meaning."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_PIXELS = 25_000_000  # of the formats read the hungriest, WebP, takes 16 bytes a pixel to decode
WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


class Config(BaseModel):
    """Configuration of the vision family, from `config:` in a line's YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    labels: tuple[str, ...] = Field(min_length=2, description="The classes, in the order of the model's outputs")
    aliases: dict[str, str] = Field(
        default={}, description="Other names that batches use for a class, such as {ripe: maduro}"
    )
    size: int = Field(default=160, ge=32, le=512, multiple_of=32, description="Side of the model's square input")
    width: float = Field(
        default=1.0, description="MobileNetV2's width multiplier (alpha): 0.35, 0.5, 0.75, 1.0, 1.3 or 1.4"
    )
    base_weights: str = Field(
        default="imagenet",
        description="Weights a line starts from: 'imagenet' (fetched by Keras), 'random', or the path of an .h5 or "
        ".safetensors file whose arrays are named for the layers of a MobileNetV2 of this width (model.save('x.h5'))",
    )
    base_seed: int = Field(default=0, ge=0, description="Seed of random base weights")

    head_epochs: int = Field(default=30, ge=1, le=1000, description="Passes over the data while only the head learns")
    head_views: int = Field(
        default=2, ge=0, le=50, description="Augmented views of each picture that the head learns from, beside itself"
    )
    head_learning_rate: float = Field(default=3e-3, gt=0, le=1, description="AdamW's rate for the head")
    fine_tune_layers: int = Field(
        default=40, ge=0, le=154, description="Layers of the backbone's top that are tuned; 0: only the head learns"
    )
    fine_tune_epochs: int = Field(default=5, ge=0, le=1000, description="Passes over the data while the top learns too")
    fine_tune_learning_rate: float = Field(
        default=5e-5, gt=0, le=1e-1, description="AdamW's highest rate while the top learns, falling to zero (cosine)"
    )
    warmup_share: float = Field(
        default=0.3, ge=0, le=0.9, description="Share of that phase with a rising rate; tuned features break easily"
    )
    batch_size: int = Field(default=32, ge=1, le=1024, description="Pictures a step")
    weight_decay: float = Field(default=1e-3, ge=0, le=1, description="AdamW's decay")
    clip_norm: float = Field(default=5.0, gt=0, description="Largest global norm of a gradient")
    label_smoothing: float = Field(default=0.05, ge=0, lt=1, description="Share of a target spread over all classes")
    class_weights: Literal["balanced", "none"] = Field(
        default="balanced", description="'balanced': items count as their class is rare, n / (classes * n of the class)"
    )
    patience: int = Field(
        default=3, ge=1, description="Passes without a better held-out loss before a phase of training stops"
    )
    checkpoint_every: int = Field(default=1, ge=1, description="Passes between checkpoints")
    device: Literal["auto", "gpu", "cpu"] = Field(default="auto", description="A GPU where TensorFlow sees one")
    threads: int = Field(default=0, ge=0, description="Threads; 0: the cores this process may use")

    rotation: float = Field(default=15.0, ge=0, le=180, description="Augmentation: largest turn in degrees")
    zoom: float = Field(default=0.15, ge=0, lt=1, description="Augmentation: largest change of scale")
    shift: float = Field(default=0.08, ge=0, le=0.5, description="Augmentation: largest shift, as a share of the side")
    mirror: bool = Field(default=True, description="Augmentation: left and right exchanged in half of the views")
    light: float = Field(default=0.15, ge=0, lt=1, description="Augmentation: largest change of brightness, contrast")

    precision: Literal["int8", "float"] = Field(
        default="int8", description="What is served: a fully quantised .tflite, or one of floats"
    )
    calibration_items: int = Field(
        default=48, ge=1, le=1000, description="Training pictures kept in the model to measure INT8 ranges with"
    )
    serving_threads: int = Field(default=1, ge=1, le=64, description="Threads of one prediction")

    min_side: int = Field(default=64, ge=1, description="A picture whose shorter side is below is dropped")
    max_aspect: float = Field(default=4.0, ge=1, description="Largest ratio of a picture's sides")
    max_pixels: int = Field(
        default=MAX_PIXELS, ge=1, le=MAX_PIXELS, description="Larger pictures are dropped before they are decoded"
    )
    blurred_below: float = Field(
        default=12.0, ge=0, description="Variance of the Laplacian of brightness (0-255, at `size`) that is flagged"
    )
    featureless_below: float = Field(default=1.0, ge=0, description="The same variance below which it is dropped")
    dark_below: float = Field(default=40.0, ge=0, le=255, description="Mean brightness that is flagged as too dark")
    bright_above: float = Field(default=225.0, ge=0, le=255, description="Mean brightness flagged as too bright")
    flat_below: float = Field(default=12.0, ge=0, description="Standard deviation of brightness flagged as no contrast")
    subject_hues: tuple[tuple[float, float], ...] = Field(
        default=(), description="Ranges of hue, in degrees, that the subject has; none: pictures are not asked for it"
    )
    min_subject_share: float = Field(
        default=0.2, ge=0, le=1, description="Least share of such hues in the middle; below: maybe out of class"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.width not in WIDTHS:
            raise ValueError(f"width must be one of {', '.join(map(str, WIDTHS))}")
        if len({label.casefold() for label in self.labels}) < len(self.labels) or not all(map(str.strip, self.labels)):
            raise ValueError("labels must be distinct, whatever their case, and not blank")
        if unknown := sorted(set(self.aliases.values()) - set(self.labels)):
            raise ValueError(f"aliases name no label: {', '.join(unknown)}")
        return self

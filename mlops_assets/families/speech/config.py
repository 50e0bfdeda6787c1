"""What a line may say about a speech model: every number the family uses, with its meaning."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """Configuration of the speech family, from `config:` in a line's YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    base_model: str = Field(
        default="data/models/whisper-tiny.en",
        description="Weights a line starts from: a Hugging Face repo id, or a local MLX or CTranslate2 folder",
    )
    language: str = Field(default="en", pattern=r"^[a-z]{2,3}$", description="ISO 639 code of the speech")

    method: Literal["full", "decoder", "lora"] = Field(default="full", description="Which weights are trained")
    train_embedding: bool = Field(
        default=False,
        description="Train the token embedding too, half of a small model's weights; "
        "whether it gains accuracy was not measured",
    )
    rank: int = Field(default=8, ge=1, le=256, description="Rank of the LoRA matrices")
    lora_scale: float = Field(default=2.0, gt=0, description="LoRA's alpha over rank")
    learning_rate: float = Field(default=2e-5, gt=0, le=1e-2, description="Peak learning rate of AdamW")
    warmup_share: float = Field(default=0.1, ge=0, le=0.9, description="Share of all steps with a rising rate")
    schedule: Literal["cosine", "linear", "constant"] = Field(default="cosine", description="What follows the warm-up")
    batch_size: int = Field(default=8, ge=1, le=256, description="Utterances per forward pass")
    accumulation: int = Field(default=1, ge=1, le=64, description="Forward passes per optimizer step")
    epochs: int = Field(default=3, ge=1, le=1000, description="Passes over the data")
    max_steps: int = Field(default=0, ge=0, description="Most optimizer steps; 0: as the epochs say")
    clip_norm: float = Field(default=1.0, gt=0, description="Largest global norm of a gradient")
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="AdamW's decay")
    evaluate_every: int = Field(default=10, ge=1, description="Steps between looks at the held-out loss")
    patience: int = Field(default=3, ge=1, description="Looks without a better held-out loss before training stops")
    checkpoint_every: int = Field(default=10, ge=1, description="Steps between checkpoints")

    dtype: Literal["float32"] = Field(
        default="float32", description="Training precision; float16 weights overflow in AdamW at the first step"
    )
    device: Literal["auto", "gpu", "cpu"] = Field(default="auto", description="Metal or CUDA where there is one")
    threads: int = Field(default=0, ge=0, description="BLAS threads; 0: the cores this process may use")

    window_step: float = Field(
        default=1.0, gt=0, le=30, description="Encoder windows are whole multiples of this many seconds"
    )
    window_margin: float = Field(
        default=1.0, ge=0, le=10, description="Silence after a clip that its window must at least hold, in seconds"
    )
    window_min: float = Field(default=4.0, gt=0, le=30, description="Shortest encoder window in seconds")

    decode_batch: int = Field(default=16, ge=1, le=256, description="Utterances decoded together")
    tokens_per_second: float = Field(default=12.0, gt=0, description="Length cap of a transcript, per second of audio")
    loop_repeats: int = Field(default=3, ge=2, description="Immediate repetitions of a phrase that end a transcript")
    weights: Literal["float16", "float32"] = Field(default="float16", description="Precision of exported weights")

    min_seconds: float = Field(default=0.2, gt=0, description="Shortest utterance kept")
    max_seconds: float = Field(default=30.0, gt=0, le=30, description="Longest utterance kept; Whisper hears 30 s")
    max_channels: int = Field(default=2, ge=1, description="More channels than this are refused")
    min_sample_rate: int = Field(default=8000, ge=1000, description="Slower recordings are dropped")
    silence_dbfs: float = Field(default=-55.0, lt=0, description="A clip whose loudest 50 ms is below is silent")
    clipped_share: float = Field(default=0.05, gt=0, le=1, description="Share of samples at full scale that is flagged")
    max_transcript_chars: int = Field(default=1000, ge=1, description="Longest transcript kept")
    min_chars_per_second: float = Field(default=2.0, ge=0, description="Fewest letters per second that is not silent")
    max_chars_per_second: float = Field(default=35.0, gt=0, description="Most letters per second")

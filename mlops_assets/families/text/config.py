"""What a line may say about a text classifier: every column and number the family uses, with its meaning.

The defaults are those of source system 002: DistilBERT, batches of 16, three epochs, a tenth of them to warm up.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NO_LABEL = "none"
TRUE = ("true", "yes", "1", "1.0")
FALSE = ("false", "no", "0", "0.0")


def _label_column(known: dict[str, Any]) -> str:
    return {"single_label": "category", "binary": "is_worthy"}.get(known.get("task", ""), "")


class Augmentation(BaseModel):
    """Changed copies of the training messages, drawn from the seed; shares are of a message's words."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    copies: int = Field(default=0, ge=0, le=10, description="Changed copies of each message; 0: none")
    synonyms: float = Field(default=0.0, ge=0, le=1, description="Words replaced by a synonym; needs nltk's WordNet")
    word_dropout: float = Field(default=0.0, ge=0, le=0.9, description="Words left out")
    typos: float = Field(default=0.0, ge=0, le=1, description="Words of which two neighbouring letters change places")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.copies and not (self.synonyms or self.word_dropout or self.typos):
            raise ValueError("copies without synonyms, word_dropout or typos would only repeat the messages")
        return self


class Config(BaseModel):
    """Configuration of the text family, from `config:` in a line's YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: Literal["single_label", "binary", "multi_label"] = Field(
        default="single_label", description="One label of several, one of two with a score, or any number of dimensions"
    )
    labels: tuple[str, ...] = Field(
        default_factory=lambda known: ("false", "true") if known.get("task") == "binary" else (),
        description="Labels that may occur, or the dimensions of a multi-label line; of a binary one, first the label "
        "for no, then the one for yes (cells may also say false/true, no/yes, 0/1)",
    )
    derived: dict[str, dict[str, float]] = Field(
        default={},
        description="Multi-label: further outputs such as valence, each the sum of dimension scores times these "
        "weights, kept within -1..1",
    )

    text_column: str = Field(default="message", min_length=1, description="Column of the message")
    label_column: str = Field(
        default_factory=_label_column,
        description="Column of the label; multi-label: of a list or 'joy;trust', empty: a column with 0..1 a dimension",
    )
    confidence_column: str = Field(default="confidence", description="Column of how sure the label is; may be absent")
    score_column: str = Field(default="score", description="Binary: column of the score 0..1; may be absent")
    user_column: str = Field(default="user", description="Column of who wrote it: resampled together; may be absent")
    template_column: str = Field(
        default="template", description="Column of what generated it: resampled together; may be absent"
    )
    source_column: str = Field(default="source", description="Column of where it came from: a slice; may be absent")
    language_column: str = Field(default="language", description="Column of an ISO 639 code: a slice; may be absent")
    origin_column: str = Field(default="origin", description="Column with 'real' or 'synthetic'; may be absent")

    language: str = Field(default="en", pattern=r"^[a-z]{2,3}$", description="Language where a row names none")
    languages: tuple[str, ...] = Field(
        default=(), description="Languages the line is for, others are flagged; none: any"
    )
    min_chars: int = Field(default=2, ge=1, description="Shortest message kept, in characters")
    max_chars: int = Field(default=5_000, ge=1, le=60_000, description="Longest message kept, in characters")
    short_chars: int = Field(default=40, ge=1, description="Slice length:short is below")
    long_chars: int = Field(default=160, ge=1, description="Slice length:long is from here")
    min_label_confidence: float = Field(default=0.5, ge=0, le=1, description="A label less sure than this is doubtful")
    doubtful_labels: Literal["flag", "drop"] = Field(default="flag", description="What becomes of doubtful labels")
    personal_data: Literal["flag", "drop"] = Field(
        default="flag", description="What becomes of messages with an e-mail address, telephone or card number"
    )
    near_duplicates: Literal["flag", "drop"] = Field(
        default="flag", description="What becomes of messages that nearly are another one with the same label"
    )
    near_duplicate_share: float = Field(
        default=0.8, gt=0.5, le=1, description="Share of their words (Jaccard) from which two messages are one"
    )

    base_model: str = Field(
        default="distilbert-base-uncased",
        description="Any encoder of the Hugging Face Hub by id (distilbert-base-uncased, bert-base-uncased, "
        "roberta-base, albert-base-v2), or a local folder",
    )
    learning_rate: float = Field(default=3e-5, gt=0, le=1e-1, description="Peak rate of AdamW; 002 tries 2e-5 to 5e-5")
    batch_size: int = Field(default=16, ge=1, le=1024, description="Messages a step; 002: 16 or 32")
    epochs: int = Field(default=3, ge=1, le=1000, description="Passes over the data; 002: 3 to 5")
    max_steps: int = Field(default=0, ge=0, description="Most steps; 0: as the epochs say")
    warmup_share: float = Field(default=0.1, ge=0, le=0.9, description="Share of all steps with a rising rate")
    schedule: Literal["linear", "cosine", "constant"] = Field(default="linear", description="What follows the warm-up")
    weight_decay: float = Field(default=0.01, ge=0, le=1, description="AdamW's decay")
    clip_norm: float = Field(default=1.0, gt=0, description="Largest norm of a gradient")
    evaluate_every: int = Field(
        default=0, ge=0, description="Steps between checkpoints and looks at the held-out loss; 0: an epoch"
    )
    patience: int = Field(default=3, ge=1, description="Looks without a better held-out loss before training stops")
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="'balanced': a label's loss counts inversely to its frequency"
    )
    oversample: bool = Field(default=False, description="Repeat messages of rarer labels until all are as frequent")
    focal_gamma: float = Field(default=0.0, ge=0, le=10, description="Focal loss: 0 is cross entropy, 2 the paper's")
    augmentation: Augmentation = Field(default=Augmentation(), description="Changed copies of the messages")
    max_length: int = Field(default=512, ge=8, le=8192, description="Tokens of a message that are read")
    frozen_layers: int = Field(
        default=0, ge=0, description="Lowest encoder layers that are not trained, with any of them the embeddings"
    )
    device: Literal["auto", "cpu", "cuda", "metal"] = Field(default="auto", description="Where training runs")
    bf16: bool = Field(default=True, description="Train in bfloat16 where that is CUDA; weights stay float32")
    threads: int = Field(default=0, ge=0, description="Threads of training; 0: the cores this process may use")

    precision: Literal["int8", "float"] = Field(default="int8", description="Weights of the ONNX file that is served")
    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Score from which a label is given (not single-label)"
    )
    thresholds: dict[str, float] = Field(default={}, description="Multi-label: the same, of single dimensions")
    secondary_share: float = Field(
        default=0.2, gt=0, le=1, description="Probability from which another category is named as secondary"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [*self._label_problems(), *self._column_problems()]
        if self.long_chars < self.short_chars:
            problems.append("long_chars is below short_chars")
        if self.max_chars < self.min_chars:
            problems.append("max_chars is below min_chars")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _label_problems(self) -> list[str]:
        problems = []
        fewest = 1 if self.task == "multi_label" else 2
        if len(self.labels) < fewest or (self.task == "binary" and len(self.labels) != 2):
            problems.append(f"labels: a {self.task} line has {'two' if self.task == 'binary' else f'{fewest} or more'}")
        if len({label.casefold() for label in self.labels}) < len(self.labels):
            problems.append("labels: one occurs twice")
        if any(not label.strip() or label != label.strip() or ";" in label for label in self.labels):
            problems.append("labels: one is empty, or has outer spaces or a ';'")
        if self.task == "multi_label" and NO_LABEL in self.labels:
            problems.append(f"labels: '{NO_LABEL}' stands for no dimension at all")
        if self.task != "multi_label" and (self.derived or self.thresholds):
            problems.append("derived and thresholds are for multi_label")
        for field, named in (
            ("derived", {k for each in self.derived.values() for k in each}),
            ("thresholds", self.thresholds),
        ):
            if unknown := sorted(set(named) - set(self.labels)):
                problems.append(f"{field}: {', '.join(unknown)} is no label")
        if any(not 0 < value < 1 for value in self.thresholds.values()):
            problems.append("thresholds: each lies between 0 and 1")
        if taken := sorted({"dimensions", "labels", "confidence"} & set(self.derived)):
            problems.append(f"derived: {', '.join(taken)} is taken")
        return problems

    def _column_problems(self) -> list[str]:
        names = [name for name in self.columns if name]
        if len({name.casefold() for name in names}) < len(names):
            return ["two columns have the same name"]
        return [] if self.label_column or self.task == "multi_label" else ["label_column: which is it?"]

    @property
    def required(self) -> tuple[str, ...]:
        """The columns no batch may lack."""
        return (self.text_column, self.label_column) if self.label_column else (self.text_column, *self.labels)

    @property
    def optional(self) -> tuple[str, ...]:
        """The columns a batch may have."""
        score = (self.score_column,) if self.task == "binary" else ()
        return (
            *(self.confidence_column, *score, self.user_column, self.template_column),
            *(self.source_column, self.language_column, self.origin_column),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read; an empty name is one the line does without."""
        return (*self.required, *self.optional)

    def threshold_of(self, label: str) -> float:
        """Return the score from which a label is given."""
        return self.thresholds.get(label, self.threshold)

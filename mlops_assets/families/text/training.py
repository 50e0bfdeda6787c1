"""Fine-tune an encoder with transformers' Trainer: early stopping on held-out loss, resumable at any moment.

What a step sees - its batch, its dropout - depends on seed and step alone. A checkpoint counts only once a file in it
says that it is whole and whose it is; checkpoints hold torch's own files and never leave the run folder.
"""

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from mlops_assets.core.dataset import training_digest
from mlops_assets.core.errors import ConfigError, Refused
from mlops_assets.core.family import Report, Trained
from mlops_assets.families.text.config import Config
from mlops_assets.families.text.examples import Examples, Steps, in_order, read, schedule
from mlops_assets.families.text.losses import label_weights, plain_loss, training_loss
from mlops_assets.families.text.watch import Watch, broken, curve, ended, latest
from mlops_assets.families.text.weights import WEIGHTS, copy_tokenizer, encoder_layers, load_network, save_network


def train(
    data: Path, held_out: Path, parent: Path, config: Config, seed: int, run_dir: Path, report: Report
) -> Trained:
    """Fine-tune `parent` and write `run_dir/model`; see `Family.train`.

    Raises Refused if no item can be trained on, TaskFailed if a loss is not a number.
    """
    started = time.monotonic()
    device = choose_device(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    examples, others = read(data, parent, config, seed), read(held_out, parent, config)
    if not examples.items:
        raise Refused("No item of this dataset can be trained on.", "See the findings of its validation.")
    network = load_network(parent, config)
    freeze(network, config)
    batches = schedule(examples, config, seed)
    every = config.evaluate_every or math.ceil(len(batches) / config.epochs)
    recipe = training_digest(data, held_out, parent / WEIGHTS, config, seed)
    watch = Watch(recipe, config.patience, len(batches), every, report)
    checkpoint = latest(run_dir, recipe)
    trainer = _Trainer(
        network,
        examples,
        others,
        batches[: ended(checkpoint, config.patience)],
        config,
        seed,
        _arguments(run_dir, config, seed, device, every, others),
        watch,
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    _write(trainer, parent, run_dir)
    return Trained(
        steps=trainer.state.global_step,
        items=examples.items,
        seconds=round(time.monotonic() - started, 3),
        device=device,
        curve=curve(trainer.state),
        stopped="early stopping" if trainer.state.global_step < len(batches) else "finished",
    )


def choose_device(config: Config) -> str:
    """Return 'cpu', 'cuda' or 'metal'; ConfigError if the configured one is not there."""
    there = {"cuda": torch.cuda.is_available(), "metal": torch.backends.mps.is_available(), "cpu": True}
    if config.device == "auto":
        return next(name for name, found in there.items() if found)
    if not there[config.device]:
        raise ConfigError(f"There is no {config.device} device here.", "Set device: auto, or install its driver.")
    return config.device


def freeze(network: PreTrainedModel, config: Config) -> None:
    """Leave the embeddings and the lowest layers as they are; ConfigError if there are not as many."""
    if not config.frozen_layers:
        return
    embeddings, layers = encoder_layers(network)
    if config.frozen_layers > len(layers):
        raise ConfigError(f"The encoder has {len(layers)} layers.", f"frozen_layers: {config.frozen_layers} is more.")
    for module in (embeddings, *layers[: config.frozen_layers]):
        module.requires_grad_(False)


class _Trainer(Trainer):
    """The Trainer with batches, loss and randomness that depend on the step alone."""

    def __init__(
        self,
        network: PreTrainedModel,
        examples: Examples,
        others: Examples,
        batches: list[list[int]],
        config: Config,
        seed: int,
        arguments: TrainingArguments,
        watch: Watch,
    ) -> None:
        self._examples, self._others = examples, others
        self._config, self._seed = config, seed
        super().__init__(
            network,
            arguments,
            train_dataset=Steps(batches),
            eval_dataset=Steps(in_order(others, config)) if others.items else None,
            data_collator=lambda chosen: examples.collate(chosen[0]),
            callbacks=[watch],
        )
        self.remove_callback(PrinterCallback)
        self._weights = label_weights(examples, config).to(self.args.device)

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler:
        return torch.utils.data.SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)  # pyright: ignore[reportArgumentType]

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return the held-out batches."""
        return torch.utils.data.DataLoader(self.eval_dataset, collate_fn=lambda chosen: self._others.collate(chosen[0]))  # pyright: ignore[reportArgumentType]

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Take a step whose dropout depends on seed and step; TaskFailed if its loss is not a number."""
        torch.manual_seed(self._seed * 1_000_003 + self.state.global_step)
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not math.isfinite(loss.item()):
            raise broken(self.state.global_step, loss.item(), self._config.learning_rate)
        return loss

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the configured loss in training, and plain cross entropy of held-out messages."""
        several = self._config.task == "multi_label"
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        logits, wanted = outputs.logits.float(), inputs["labels"]
        if model.training:
            loss = training_loss(logits, wanted, self._weights, self._config.focal_gamma, several)
        else:
            loss = plain_loss(logits, wanted, several)
        return (loss, outputs) if return_outputs else loss


def _arguments(
    run_dir: Path, config: Config, seed: int, device: str, every: int, others: Examples
) -> TrainingArguments:
    held_out = others.items > 0
    return TrainingArguments(
        output_dir=str(run_dir),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        max_grad_norm=config.clip_norm,
        warmup_steps=config.warmup_share,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(config.schedule, config.schedule),
        logging_steps=_logging(every),
        logging_nan_inf_filter=False,
        eval_strategy="steps" if held_out else "no",
        eval_steps=every,
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=held_out,
        metric_for_best_model="eval_loss" if held_out else None,
        greater_is_better=False if held_out else None,
        prediction_loss_only=True,
        use_cpu=device == "cpu",
        bf16=config.bf16 and device == "cuda",
        dataloader_pin_memory=device == "cuda",
        remove_unused_columns=False,
        label_names=["labels"],
        disable_tqdm=True,
        report_to=[],
        seed=seed,
    )


def _logging(every: int) -> int:
    """Return steps between points of the curve: they meet the checkpoints, so that none holds half a point."""
    return next(each for each in range(max(1, every // 10), every + 1) if every % each == 0)


def _write(trainer: _Trainer, parent: Path, run_dir: Path) -> None:
    """Write the best weights (the last ones where nothing was held out) as `run_dir/model`; remove checkpoints."""
    part, target = run_dir / ".model.part", run_dir / "model"
    shutil.rmtree(part, ignore_errors=True)
    network = trainer.model
    assert isinstance(network, PreTrainedModel)
    save_network(network.cpu(), part)  # pyright: ignore[reportCallIssue]
    copy_tokenizer(parent, part)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    for folder in run_dir.glob("checkpoint-*"):
        shutil.rmtree(folder)

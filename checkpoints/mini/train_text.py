"""Trains the tokenizer and the text encoder: a small UMT5 that reads a prompt's attributes.

The state of `</s>` must tell colour, shape, size, motion, background and so on by linear heads, which are thrown away
afterwards. Then it is frozen: the diffusion model learns from embeddings that are crisp from its first step on.
"""

import html
import json
import pathlib
import re

import ftfy
import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from tokenizers.trainers import UnigramTrainer
from transformers import UMT5Config, UMT5EncoderModel

import words
import world
from common import Average, Muon, Run, averaged, rate, seeded

VOCABULARY = 1200
TOKENS = 48
FILLERS = (
    "beautiful simple cute nice cartoon animated video clip please very and then slowly quickly gently smoothly bright "
    "dark shiny flat colourful in the of with scene shot style minimal render one single, lovely calm quiet high quality "
    "4k detailed cinematic movie show me generate create a an it is now again just some where while its own through"
).split()


def clean(text):
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return re.sub(r"\s+", " ", text).strip()


def draw(rng, evaluation=False):
    """A text and the classes of the heads."""
    spec = world.sample(rng, want_unseen=bool(rng.random() < 0.2))
    kind = rng.random()
    if kind < 0.60:
        text, labels = words.caption(rng, spec, evaluation), words.attributes(spec)
    elif kind < 0.75:
        text, labels = words.reference(rng, spec, evaluation), words.attributes(spec, "reference")
    else:
        new, which = words.change(rng, spec)
        text = words.instruct(rng, spec, new, which, evaluation)
        labels = words.attributes(new, "edit", which)
    if not evaluation:
        text = spoil(rng, text)
    return text, labels


def spoil(rng, text):
    """Words that mean nothing here, and other cases: what people write round about."""
    if rng.random() < 0.2:
        parts = text.split(" ")
        for _ in range(int(rng.integers(1, 4))):
            at = 0 if rng.random() < 0.5 else len(parts)
            parts.insert(at, words.pick(rng, FILLERS))
        text = " ".join(parts)
    if rng.random() < 0.06:
        text = text.lower() if rng.random() < 0.5 else text.upper() if rng.random() < 0.5 else text.title()
    return text


def known_words():
    """Every word that training texts are made of, lower case: what the model can be asked in."""
    tables = [words.COLOURS, words.SHAPES, words.SIZES, words.BACKGROUNDS, words.CAMERAS, words.SHORT_PLACES]
    phrases = [p for t in tables for v in t.values() for p in ([v] if isinstance(v, str) else v)]
    phrases += [p for pairs in words.MOTIONS.values() for pair in pairs for p in pair]
    phrases += words.TEMPLATES + words.COLOUR_EDITS + words.SHAPE_EDITS + words.PLACE_EDITS + words.REFERENCES + FILLERS
    phrases += ["next to beside near and of colour a an"]
    phrases += ["i see short showing how like only"]
    plain = " ".join(re.sub(r"{.*?}", " ", p) for p in phrases).lower()
    return sorted(set(re.findall(r"[a-z0-9']+", plain)))


def train_tokenizer(file):
    rng = np.random.default_rng(5)
    texts = [draw(rng)[0] for _ in range(30000)] + FILLERS * 20
    texts += [chr(c) for c in range(33, 127)] + list("éèüäößñç“”‘’–—…，。、")
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    trainer = UnigramTrainer(vocab_size=VOCABULARY, special_tokens=["<pad>", "</s>", "<s>", "<unk>"], unk_token="<unk>",
                             show_progress=False)  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    assert tokenizer.token_to_id("<pad>") == 0 and tokenizer.token_to_id("</s>") == 1
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False) + "\n")


def new():
    torch.manual_seed(1)
    config = UMT5Config(
        vocab_size=VOCABULARY, d_model=128, d_kv=32, d_ff=320, num_layers=3, num_heads=4,
        relative_attention_num_buckets=32, relative_attention_max_distance=128, dropout_rate=0.0,
        feed_forward_proj="gated-gelu", is_encoder_decoder=False, use_cache=False, tie_word_embeddings=True,
    )  # fmt: skip
    return UMT5EncoderModel(config)


class Reader(torch.nn.Module):
    """The encoder with its heads."""

    def __init__(self):
        super().__init__()
        self.encoder = new()
        self.heads = torch.nn.ModuleDict({h: torch.nn.Linear(128, len(c)) for h, c in words.HEADS.items()})

    def forward(self, ids, mask):
        states = self.encoder(ids, mask).last_hidden_state
        last = states[torch.arange(len(ids)), mask.sum(1) - 1]
        return [head(last) for head in self.heads.values()]


def batch_of(tokenizer, pairs):
    lists = [tokenizer.encode(clean(text)).ids[:TOKENS] for text, _ in pairs]
    longest = max(map(len, lists))
    ids = torch.zeros(len(lists), longest, dtype=torch.long)
    for row, values in zip(ids, lists):
        row[: len(values)] = torch.tensor(values)
    lengths = torch.tensor([len(v) for v in lists])
    return ids, (torch.arange(longest)[None] < lengths[:, None]).long()


@torch.no_grad()
def accuracy(reader, tokenizer, evaluation, count=600):
    """Share of texts of which each head is right."""
    rng = np.random.default_rng(99)
    pairs = [draw(rng, evaluation) for _ in range(count)]
    labels = torch.tensor([p[1] for p in pairs])
    right = torch.stack([o.argmax(-1) for o in reader(*batch_of(tokenizer, pairs))], 1) == labels
    return {h: right[:, n].float().mean().item() for n, h in enumerate(words.HEADS)}


def load(work):
    """The frozen encoder and its tokenizer."""
    reader = Reader()
    reader.load_state_dict(averaged(work, "text"))
    return reader.encoder.eval(), Tokenizer.from_file(f"{work}/text/tokenizer.json")


def train(work, minutes=8.0, lr=2e-3, batch=96):
    run = Run(work, "text", minutes)
    file = pathlib.Path(work) / "text" / "tokenizer.json"
    if not file.exists():
        train_tokenizer(file)
    tokenizer = Tokenizer.from_file(str(file))
    reader = Reader()
    optimizer = Muon(list(reader.named_parameters()), lr, decay=0.02, plain=("shared", "embed", "heads", "relative"))
    average = Average(reader, 0.998)
    run.load(reader, optimizer, average)
    rng = np.random.default_rng(seeded(run))
    share, logged, losses = run.used / minutes, run.used, []
    test = Reader().eval()
    while share < 1:
        pairs = [draw(rng) for _ in range(batch)]
        labels = torch.tensor([p[1] for p in pairs])
        loss = sum(F.cross_entropy(o, labels[:, n]) for n, o in enumerate(reader(*batch_of(tokenizer, pairs))))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = lr * rate(share)
        optimizer.step()
        average.update(reader)
        losses.append(loss.item())
        share = run.tick()
        if run.used - logged > 1 or share >= 1:
            logged = run.used
            test.load_state_dict(average.weights)
            seen, unseen = accuracy(test, tokenizer, False), accuracy(test, tokenizer, True)
            run.log(loss=np.mean(losses), seen_min=min(seen.values()), **unseen)
            losses = []
        if run.should_save() or share >= 1:
            run.save(reader, optimizer, average)

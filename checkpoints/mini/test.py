"""Tests of the recipe: `python -m unittest test` in this folder. Those of an exported checkpoint need `model/`."""

import pathlib
import unittest

import numpy as np
import torch

import cache
import dit
import items
import train_dit
import vae
import words
import world

MODEL = pathlib.Path(__file__).with_name("model")


class World(unittest.TestCase):
    def test_a_spec_always_draws_the_same(self):
        for n in range(20):
            spec = world.sample(np.random.default_rng(n), frames=5)
            self.assertTrue((world.render(spec) == world.render(spec)).all())

    def test_training_never_meets_what_is_kept_for_the_evaluation(self):
        rng = np.random.default_rng(0)
        for _ in range(500):
            for thing in world.sample(rng).things[:1]:
                self.assertFalse(world.unseen(thing.colour, thing.shape, thing.motion))
        kept = [i for i in items.draw(40) if i.unseen and i.task != "edit"]
        self.assertTrue(all(world.unseen(t.colour, t.shape, t.motion) for i in kept for t in i.spec.things[:1]))

    def test_every_colour_stands_out_from_its_background(self):
        rng = np.random.default_rng(1)
        for _ in range(300):
            spec = world.sample(rng, frames=1, camera="fixed")
            if spec.background == "photo":
                continue
            cover = world.alpha(spec)[0] > 0.99
            if cover.sum() > 20:
                inside = world.render(spec)[0][cover].astype(float)
                far = np.abs(np.median(inside, 0) - world.backdrop(spec, 1.0)[cover].mean(0)).max()
                self.assertGreater(far, 25, spec)

    def test_words_name_what_is_seen(self):
        rng = np.random.default_rng(2)
        for _ in range(200):
            spec = world.sample(rng)
            self.assertEqual(len(words.attributes(spec)), len(words.HEADS))
            text = words.caption(rng, spec).lower()
            self.assertTrue(any(c in text for c in words.COLOURS[spec.things[0].colour]), text)


class Faster(unittest.TestCase):
    """What training runs is what diffusers runs."""

    def test_vae(self):
        model = vae.new()
        with torch.no_grad():
            for frames in (1, 5, 13):
                x = torch.rand(2, 3, frames, 32, 48, generator=torch.Generator().manual_seed(frames)) * 2 - 1
                z = model._encode(x)
                self.assertLess((z - vae.encode(model, x)).abs().max().item(), 1e-4)
                out = model.decode(z[:, : vae.Z]).sample
                self.assertLess((out - vae.decode(model, z[:, : vae.Z]).clamp(-1, 1)).abs().max().item(), 1e-4)

    def test_encoder_is_causal(self):
        model = vae.new()
        x = torch.rand(1, 3, 13, 32, 32) * 2 - 1
        with torch.no_grad():
            long, short = vae.encode(model, x), vae.encode(model, x[:, :, :5])
        self.assertLess((long[:, :, :2] - short).abs().max().item(), 1e-4)

    def test_dit(self):
        model = dit.new()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn(p.shape, generator=generator) * 0.05)
            x, control = torch.randn(2, vae.Z, 3, 4, 14), torch.randn(2, 2 * vae.Z + dit.MASK, 3, 4, 14)
            lengths, text = torch.tensor([9, 4]), torch.randn(2, 9, 128)
            text[1, 4:] = 0
            full = torch.cat([text, torch.zeros(2, dit.TEXT_ROWS - 9, 128)], 1)
            t = torch.tensor([700.0, 20.0])
            a = model(x, t, full, control_hidden_states=control, return_dict=False)[0]
            b = dit.forward(model, x, t, text, dit.text_bias(lengths, 9), control, dit.rotary(model, x))
        self.assertLess((a - b).abs().max().item(), 1e-3 * a.abs().max().item())

    def test_masks_are_those_of_the_pipeline(self):
        for frames in (1, 5, 9, 13, 21, 41):
            for known in ([0], [0, frames - 1], list(range(cache.continued(frames)))):
                mask = torch.tensor([0.0 if t in known else 1.0 for t in range(frames)]).view(1, 1, -1, 1, 1)
                theirs = torch.nn.functional.interpolate(mask, size=((frames + 3) // 4, 1, 1), mode="nearest-exact")
                self.assertEqual(theirs.flatten().tolist(), train_dit.mask_of(known, (frames + 3) // 4).tolist())


class Judged(unittest.TestCase):
    def test_the_judge_is_right_about_true_clips(self):
        import eval as evaluation
        import judge

        see = judge.Judge()
        jobs = [i for i in items.draw(400) if i.task == "text"]
        rows = [evaluation.score(i, world.render(i.spec), see) for i in jobs]
        for key in ("colour", "shape", "motion", "background", "count"):
            self.assertGreaterEqual(np.mean([r["right"][key] for r in rows]), 0.99, key)


@unittest.skipUnless(MODEL.exists(), "no exported checkpoint")
class Exported(unittest.TestCase):
    def test_diffusers_generates_what_training_generates(self):
        import export

        pipe = export.pipeline(MODEL)
        clip = pipe("a red ball moves left on a white background", width=112, height=64, num_frames=5, num_inference_steps=3,
                    guidance_scale=2.0, output_type="np", generator=torch.Generator().manual_seed(0)).frames[0]  # fmt: skip
        self.assertEqual(clip.shape, (5, 64, 112, 3))
        self.assertLess(sum(f.stat().st_size for f in MODEL.rglob("*") if f.is_file()), 30e6)


if __name__ == "__main__":
    unittest.main()

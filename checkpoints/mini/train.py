"""Trains wan-mini, stage by stage; each stage goes on where it stopped.

    python train.py vae --work DIR        the VAE
    python train.py text --work DIR       the tokenizer and the text encoder
    python train.py cache --work DIR      clips to latents, once
    python train.py dit --work DIR        the diffusion model
    python train.py decoder --work DIR    the VAE's decoder alone, any time later
    python train.py judge --work DIR      the evaluation's classifier
"""

import argparse
import os


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["vae", "text", "cache", "dit", "decoder", "judge"])
    parser.add_argument("--work", required=True)
    parser.add_argument("--minutes", type=float, help="the stage's whole time; the learning rate falls until then")
    parser.add_argument("--count", type=int, help="cache: how many scenes")
    parser.add_argument("--processes", type=int, help="vae, decoder, dit: how many train together, a thread each")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()

    os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # cores are shared: a thread that waits must not hold one
    import torch

    torch.set_num_threads(args.threads)
    options = {k: v for k, v in {"minutes": args.minutes, "count": args.count, "processes": args.processes}.items() if v is not None}
    if args.stage in ("vae", "decoder"):
        import train_vae

        train_vae.train(args.work, decoder_only=args.stage == "decoder", **options)
    elif args.stage == "text":
        import train_text

        train_text.train(args.work, **options)
    elif args.stage == "cache":
        import cache

        cache.fill(args.work, **options)
    elif args.stage == "judge":
        import train_judge

        train_judge.train(args.work, **options)
    else:
        import train_dit

        train_dit.train(args.work, **options)


if __name__ == "__main__":
    main()

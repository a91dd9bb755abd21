//! Prompts expanded by rule. A rule looks for one aspect of a clip: how things move, the framing, the camera, the light, the
//! style. Where the prompt says something about it, the rule is silent; where it does not, it adds one sentence, in the words
//! and the order of the captions that the models were trained on. What is seen and what happens is never touched.
//! What tells a rule so stands in [`aspects`].

mod aspects;

use kinora_domain::spec::PROMPT_CHARS_MAX;

use self::aspects::{Aspect, CAMERA, CONTINUITY, FRAMING, LIGHT, MOTION, PASSAGE, STYLE};
use super::{Brief, Material};
use crate::prompt::{ended, is_han};

/// From this length on a prompt says enough: words, or Chinese characters.
const LONG_WORDS: usize = 50;
const LONG_CHARACTERS: usize = 80;

/// The prompt with what it leaves open; as it is, where there is nothing to add or it is in no language that the rules know.
pub(super) fn expand(brief: &Brief) -> String {
    let prompt = brief.prompt.as_str();
    let Some(tongue) = Tongue::of(prompt) else {
        return prompt.to_owned();
    };
    // Shots are written in detail, or many: what all of them share is short in any case.
    if tongue.is_long(prompt) && !brief.is_in_shots {
        return prompt.to_owned();
    }
    let sentences: Vec<&str> = aspects(brief)
        .iter()
        .filter(|aspect| !aspect.is_told(prompt, tongue))
        .map(|aspect| aspect.sentence(brief.seed.get(), tongue))
        .collect();
    if sentences.is_empty() {
        return prompt.to_owned();
    }
    let space = match tongue {
        Tongue::English => " ",
        Tongue::Chinese => "",
    };
    let added = sentences.join(space);
    let expanded = match brief.is_in_shots {
        // What stands before the first shot holds for all of them.
        true => format!("{added} {prompt}"),
        false => format!("{}{space}{added}", ended(prompt)),
    };
    match expanded.chars().count() <= PROMPT_CHARS_MAX {
        true => expanded,
        false => prompt.to_owned(),
    }
}

/// What may be added, in order. What a clip's material shows is left to it.
fn aspects(brief: &Brief) -> &'static [&'static Aspect] {
    match (brief.is_in_shots, brief.material) {
        (true, Material::References) => &[&LIGHT],
        (true, Material::Nothing) => &[&LIGHT, &STYLE],
        (true, Material::FirstFrame | Material::FirstAndLastFrame | Material::Clip) => &[],
        (false, Material::Nothing) => &[&MOTION, &FRAMING, &CAMERA, &LIGHT, &STYLE],
        (false, Material::FirstFrame) => &[&MOTION, &CAMERA],
        (false, Material::FirstAndLastFrame) => &[&PASSAGE],
        (false, Material::Clip) => &[&CONTINUITY],
        (false, Material::References) => &[&MOTION, &FRAMING, &CAMERA, &LIGHT],
    }
}

/// The languages that there are rules for: those of the models' captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tongue {
    English,
    Chinese,
}

impl Tongue {
    /// By its letters. Other languages in Latin letters without accents pass for English, which the models read beside them.
    fn of(prompt: &str) -> Option<Tongue> {
        let is_other = |c: char| c.is_alphabetic() && !c.is_ascii() && !is_han(c);
        match (prompt.chars().any(is_other), prompt.chars().any(is_han)) {
            (true, _) => None,
            (false, true) => Some(Tongue::Chinese),
            (false, false) => Some(Tongue::English),
        }
    }

    fn is_long(self, prompt: &str) -> bool {
        match self {
            Tongue::English => prompt.split_whitespace().count() >= LONG_WORDS,
            Tongue::Chinese => prompt.chars().filter(|c| is_han(*c)).count() >= LONG_CHARACTERS,
        }
    }
}

#[cfg(test)]
mod tests {
    use kinora_domain::Seed;

    use super::{super::Material::*, *};

    fn brief(material: Material, prompt: &str, seed: u32) -> Brief {
        Brief {
            prompt: prompt.to_owned(),
            material,
            is_in_shots: crate::prompt::shots::are_written(prompt),
            duration_ms: 5000,
            seed: Seed::from_entropy(seed),
        }
    }

    fn expanded(material: Material, prompt: &str) -> String {
        expand(&brief(material, prompt, 7))
    }

    #[test]
    fn what_is_left_open_is_filled_in() {
        let check = |material, prompt: &str, expected: &str| {
            assert_eq!(expanded(material, prompt), expected, "{prompt}");
        };
        check(
            Nothing,
            "A paper boat crosses a rain puddle",
            "A paper boat crosses a rain puddle. The movement is smooth and natural. Centred composition with depth \
             between foreground and background. The camera slowly moves closer. Soft light with gentle shadows. Realistic, finely \
             detailed film with balanced colours.",
        );
        check(
            FirstFrame,
            "the boat sinks",
            "the boat sinks. The movement is smooth and natural. The camera slowly moves closer.",
        );
        check(
            FirstAndLastFrame,
            "the boat sinks",
            "the boat sinks. One smooth, unbroken movement leads from the first picture to the last.",
        );
        check(
            Clip,
            "the boat sinks!",
            "the boat sinks! The movement goes on smoothly and naturally in the same shot.",
        );
        check(
            References,
            "Image 1 meets Video 1",
            "Image 1 meets Video 1. The movement is smooth and natural. Centred composition with depth \
             between foreground and background. The camera slowly moves closer. Soft light with gentle shadows.",
        );
        check(
            Nothing,
            "一只纸船漂过雨后的水洼",
            "一只纸船漂过雨后的水洼。动作自然流畅。中心构图，前景与背景层次分明。镜头缓慢推近。光线柔和，明暗层次细腻。写实风格，画面细腻，色彩协调。",
        );
        check(FirstFrame, "小船沉没", "小船沉没。动作自然流畅。镜头缓慢推近。");
        check(
            References,
            "Shot 1 [0-3 seconds] Image 1 sleeps. Shot 2 [3-5 seconds] it wakes.",
            "Soft light with gentle shadows. Shot 1 [0-3 seconds] Image 1 sleeps. Shot 2 [3-5 seconds] it wakes.",
        );
    }

    #[test]
    fn what_is_said_is_left_alone() {
        const ALL: [&Aspect; 5] = [&MOTION, &FRAMING, &CAMERA, &LIGHT, &STYLE];
        let check = |prompt: &str, told: &[u32]| {
            let tongue = Tongue::of(prompt).unwrap();
            let found: Vec<u32> = ALL
                .iter()
                .filter(|aspect| aspect.is_told(prompt, tongue))
                .map(|aspect| aspect.number)
                .collect();
            assert_eq!(found, told, "{prompt}");
        };
        let (motion, framing, camera, light, style) = (
            MOTION.number,
            FRAMING.number,
            CAMERA.number,
            LIGHT.number,
            STYLE.number,
        );
        check("A dog runs over a meadow", &[]);
        check("A panda eats bamboo in a lighthouse", &[]);
        check("A dog runs slowly", &[motion]);
        check("Slow-motion: a dog", &[motion]);
        check("Close-up of a dog", &[framing]);
        check("The dog, CLOSE UP", &[framing]);
        check("Camera pans left over a field", &[camera]);
        check("flying over the alps", &[camera]);
        check("A drone shot of the alps", &[framing, camera]);
        check("A street at night", &[light]);
        check("The sun's rays on a wall", &[light]);
        check("A diver underwater", &[light]);
        check("An anime girl waves", &[style]);
        check("A Studio Ghibli forest", &[light, style]);
        check(
            "Black-and-white noir alley, static wide shot",
            &[motion, framing, camera, light, style],
        );
        check("一只狗在奔跑", &[]);
        check("一只狗缓慢地走", &[motion]);
        check("狗的特写", &[framing]);
        check("镜头向左移动", &[camera]);
        check("夜晚的街道", &[light]);
        check("水彩风格的花", &[style]);
    }

    /// Nothing is added twice, whatever the seed chooses: an expanded prompt says enough.
    #[test]
    fn an_expanded_prompt_is_expanded_already() {
        for prompt in [
            "A paper boat crosses a rain puddle",
            "一只纸船漂过雨后的水洼",
            "Shot 1: Image 1 sleeps. Shot 2: it wakes.",
        ] {
            for material in [Nothing, FirstFrame, FirstAndLastFrame, Clip, References] {
                for seed in 0..64 {
                    let once = expand(&brief(material, prompt, seed));
                    let twice = expand(&brief(material, &once, seed + 1));
                    assert_eq!(once, twice);
                }
            }
        }
    }

    #[test]
    fn every_sentence_is_chosen_sometimes_and_the_same_by_the_same_seed() {
        let of = |seed| expand(&brief(Nothing, "A boat", seed));
        let all: std::collections::BTreeSet<String> = (0..1000).map(of).collect();
        assert_eq!(all.len(), 2 * 2 * 3 * 2 * 2);
        assert_eq!(of(7), of(7));
    }

    #[test]
    fn some_prompts_are_left_as_they_are() {
        let check = |prompt: &str| assert_eq!(expanded(Nothing, prompt), prompt);
        check(&"a boat and ".repeat(17));
        check(&"一只纸船漂过雨后的水洼，".repeat(8));
        check("猫が眠る");
        check("고양이가 잔다");
        check("Ein Kätzchen schläft");
        check("Кошка спит");
        check(&format!("{} a boat", "x".repeat(PROMPT_CHARS_MAX - 10)));
        check("Slow motion, wide shot, the camera stays still, night, anime");
    }
}

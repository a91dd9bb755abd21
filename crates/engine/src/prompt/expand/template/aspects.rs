//! What a prompt says about a clip or leaves open, aspect by aspect: how it is told, and what is added where it is not.
//!
//! A word that is missing in a list costs a sentence too many, one too much costs a sentence: so the lists are wide.

use super::Tongue;

/// Something about a clip that a prompt says or leaves open.
pub(super) struct Aspect {
    /// By which the choice among sentences differs from that of other aspects.
    pub(super) number: u32,
    /// Words and phrases that say something about it, separated by commas; in English in lower case, without hyphens.
    english: &'static str,
    chinese: &'static str,
    /// What may be added; each one would be found by the words above.
    english_sentences: &'static [&'static str],
    chinese_sentences: &'static [&'static str],
}

impl Aspect {
    pub(super) fn is_told(&self, prompt: &str, tongue: Tongue) -> bool {
        match tongue {
            Tongue::English => {
                let plain = plain(prompt);
                let mut told = self.english.split(", ");
                told.any(|words| plain.contains(&format!(" {words} ")))
            }
            Tongue::Chinese => {
                let lower = prompt.to_lowercase();
                self.chinese.split('、').any(|word| lower.contains(word))
            }
        }
    }

    /// One of its sentences; which one is a matter of the seed.
    pub(super) fn sentence(&self, seed: u32, tongue: Tongue) -> &'static str {
        let sentences = match tongue {
            Tongue::English => self.english_sentences,
            Tongue::Chinese => self.chinese_sentences,
        };
        sentences[(mixed(seed, self.number) % sentences.len() as u64) as usize]
    }
}

/// Bits that are as good as drawn, so that one aspect's choice says nothing of another's: the finaliser of SplitMix64
/// (Steele, Lea, Flood 2014).
fn mixed(seed: u32, number: u32) -> u64 {
    let mixed = (u64::from(seed) << 8 | u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Words in lower case with one space around each.
fn plain(prompt: &str) -> String {
    let lower = prompt.to_lowercase().replace('’', "'");
    let mut plain = String::from(" ");
    for word in lower.split(|c: char| !c.is_alphanumeric() && c != '\'') {
        let word = word.trim_matches('\'').trim_end_matches("'s");
        if !word.is_empty() {
            plain.push_str(word);
            plain.push(' ');
        }
    }
    plain
}

/// How things move.
pub(super) const MOTION: Aspect = Aspect {
    number: 1,
    english: "abrupt, abruptly, calm, calmly, chaotic, fast, fluid, fluidly, frantic, freeze, freezes, frozen, \
         furious, gentle, gently, gradual, gradually, hectic, hurried, hyperlapse, jerky, jittery, \
         motion, motionless, movement, movements, pace, quick, quickly, rapid, rapidly, slow, slowly, \
         smooth, smoothly, speed, speeding, static, still, stop motion, stopmotion, sudden, suddenly, \
         swift, swiftly, time lapse, timelapse, violent, violently, wild, wildly",
    chinese: "慢、快、缓、迅速、飞速、急、静止、不动、延时、定格、流畅、平稳、平滑、轻轻、轻柔、突然、猛、节奏、\
         速度、激烈、剧烈",
    english_sentences: &[
        "The movement is smooth and natural.",
        "Everything moves fluidly, at a natural pace.",
    ],
    chinese_sentences: &["动作自然流畅。", "运动平稳连贯，节奏自然。"],
};

/// From one picture to another.
pub(super) const PASSAGE: Aspect = Aspect {
    number: 2,
    english: MOTION.english,
    chinese: MOTION.chinese,
    english_sentences: &["One smooth, unbroken movement leads from the first picture to the last."],
    chinese_sentences: &["从首帧到尾帧，变化平滑连贯，一镜到底。"],
};

/// On from a clip.
pub(super) const CONTINUITY: Aspect = Aspect {
    number: 3,
    english: MOTION.english,
    chinese: MOTION.chinese,
    english_sentences: &["The movement goes on smoothly and naturally in the same shot."],
    chinese_sentences: &["动作在同一镜头中自然流畅地延续。"],
};

/// What is how large in the picture, and from where it is seen.
pub(super) const FRAMING: Aspect = Aspect {
    number: 4,
    english: "aerial, angle, background, bird's eye, bird eye, centered, centred, close up, close ups, \
         closeup, composed, composition, cowboy shot, depth of field, drone, fisheye, foreground, framed, \
         framing, from above, from behind, from below, from the side, front view, full body, headshot, \
         isometric, landscape, lens, macro, over the shoulder, overhead, panorama, panoramic, \
         perspective, portrait, pov, profile, shot, shots, side view, silhouette, silhouettes, \
         split screen, symmetrical, symmetry, telephoto, top down, top view, view, viewpoint, wide",
    chinese: "特写、近景、中景、远景、全景、俯视、俯拍、仰视、仰拍、平视、构图、广角、微距、景深、视角、正面、\
         侧面、背影、鸟瞰、航拍、前景、背景、半身、全身、画面中、对称、剪影",
    english_sentences: &[
        "Balanced composition, the subject in clear view.",
        "Centred composition with depth between foreground and background.",
    ],
    chinese_sentences: &["构图均衡，主体清晰。", "中心构图，前景与背景层次分明。"],
};

/// What the camera does.
pub(super) const CAMERA: Aspect = Aspect {
    number: 5,
    english: "aerial, arc shot, camera, crane, dolly, drone, first person, fly over, flying over, flyover, \
         flythrough, follow shot, footage, fpv, gimbal, hand held, handheld, locked off, long take, \
         one take, orbit, orbiting, orbits, pan, panning, pans, pov, pull back, pull out, pulls back, \
         pulls out, push in, pushes in, selfie, static, still shot, steadicam, tilt, tilting, tilts, \
         tracking, tripod, truck left, truck right, whip pan, zoom, zooming, zooms",
    chinese: "镜头、运镜、摄像、摄影机、相机、机位、推近、推进、拉远、拉近、平移、摇摄、跟拍、航拍、俯冲、环绕、\
         手持、变焦、第一人称、无人机、自拍",
    english_sentences: &[
        "The camera stays still.",
        "The camera slowly moves closer.",
        "The camera gently follows what happens.",
    ],
    chinese_sentences: &["镜头保持固定。", "镜头缓慢推近。", "镜头平稳跟随。"],
};

/// Where the light comes from, and the time of day.
pub(super) const LIGHT: Aspect = Aspect {
    number: 6,
    english: "afternoon, aurora, backlight, backlit, blue hour, bonfire, bright, brightly, campfire, candle, \
         candlelight, candlelit, candles, cave, cavern, chiaroscuro, cloudy, dark, darkness, dawn, day, \
         daylight, daytime, deep sea, dim, dimly, dusk, evening, fire, firelight, fireworks, flame, \
         flames, flashlight, fluorescent, fog, foggy, galaxy, gloomy, glow, glowing, glows, golden hour, \
         haze, hazy, high key, lamp, lamplight, lamps, lantern, lanterns, laser, light, lighting, \
         lightning, lights, lit, low key, luminous, midday, midnight, mist, misty, moon, moonlight, \
         moonlit, morning, neon, night, nighttime, noir, noon, overcast, radiant, rays, sea floor, shade, \
         shadow, shadows, shadowy, silhouette, silhouettes, space, spotlight, spotlights, stage, \
         starlight, starry, stars, storm, stormy, streetlight, streetlights, studio, sun, sunbeam, \
         sunbeams, sunlight, sunlit, sunny, sunrise, sunset, thunderstorm, torch, torches, tunnel, \
         twilight, undersea, underwater, unlit",
    chinese: "光、灯、阳、日出、日落、夕、晨、早上、夜、昼、白天、正午、中午、下午、黄昏、傍晚、暗、亮、影、阴天、\
         多云、雾、霓虹、火、烛、月、星空、水下、海底、太空、宇宙、洞、闪电、暴风、暴雨",
    english_sentences: &[
        "Soft light with gentle shadows.",
        "Clear light with natural contrast.",
    ],
    chinese_sentences: &["光线柔和，明暗层次细腻。", "光线清晰，对比自然。"],
};

/// What kind of picture it is.
pub(super) const STYLE: Aspect = Aspect {
    number: 7,
    english: "16mm, 2d, 35mm, 3d, 8 bit, 8bit, 8mm, abstract, aesthetic, animated, animation, anime, art, \
         artwork, baroque, black and white, blurry, bokeh, camcorder, cartoon, cartoons, cctv, cgi, \
         charcoal, cinematic, clay, claymation, collage, comic, crayon, cubist, cyberpunk, dashcam, \
         diagram, disney, documentary, drawing, drawn, felt, film, filmed, flat, footage, game, gameplay, \
         ghibli, glitch, gothic, graphic, graphics, grainy, hologram, hyperrealistic, illustrated, \
         illustration, impressionist, ink, isometric, lego, line art, logo, look, low poly, lowpoly, \
         manga, minecraft, minimal, minimalist, monochrome, movie, noir, oil, origami, painted, painting, \
         paper cut, papercut, pastel, pencil, photo, photograph, photographic, photography, photoreal, \
         photorealistic, pixar, pixel, pixelated, plasticine, polaroid, pop art, psychedelic, puppet, \
         puppets, realism, realistic, render, rendered, rendering, retro, screen recording, sepia, \
         sketch, sketched, steampunk, stop motion, style, styled, stylised, stylized, surreal, \
         surrealist, ukiyo e, vaporwave, vector, vhs, video game, vintage, voxel, watercolor, \
         watercolour, webcam, woodcut",
    chinese: "风格、动漫、动画、卡通、油画、水彩、水墨、素描、插画、漫画、像素、三维、二维、3d、2d、渲染、\
         写实、真实感、超现实、电影、影片、纪录片、胶片、复古、黑白、极简、抽象、赛博、剪纸、粘土、黏土、\
         定格、照片、质感、国画、版画、手绘、铅笔、乐高、木偶、游戏、监控、录像",
    english_sentences: &[
        "Cinematic look, rich in detail.",
        "Realistic, finely detailed film with balanced colours.",
    ],
    chinese_sentences: &["电影质感，细节丰富。", "写实风格，画面细腻，色彩协调。"],
};

//! How near a clip is to another, as eyes are said to see it: PSNR, and SSIM as it was published.

use kinora_wan::FrameRgb;

/// Peak signal to noise over all bytes of all frames, in dB.
pub(crate) fn psnr(got: &[FrameRgb], expected: &[FrameRgb]) -> f64 {
    let bytes = |clip: &[FrameRgb]| -> Vec<u8> { clip.iter().flat_map(|frame| frame.data.clone()).collect() };
    let (got, expected) = (bytes(got), bytes(expected));
    assert_eq!(got.len(), expected.len());
    let squares = (got.iter().zip(&expected)).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    10.0 * (255.0f64.powi(2) / (squares.sum::<f64>() / got.len() as f64)).log10()
}

/// Mean structural similarity of the luma of all frames: windows of 11×11 under a Gaussian of 1.5, K₁ = 0.01, K₂ = 0.03.
/// Reference: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment", 2004.
pub(crate) fn ssim(got: &[FrameRgb], expected: &[FrameRgb]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let frames = got
        .iter()
        .zip(expected)
        .map(|(got, expected)| ssim_of(got, expected));
    frames.sum::<f64>() / got.len() as f64
}

fn ssim_of(got: &FrameRgb, expected: &FrameRgb) -> f64 {
    const SIDE: usize = 11;
    let bell: Vec<f64> = (0..SIDE)
        .map(|i| (-(i as f64 - 5.0).powi(2) / (2.0 * 1.5 * 1.5)).exp())
        .collect();
    let whole: f64 = bell.iter().sum();
    let (width, height) = (got.width, got.height);
    let [x, y] = [got, expected].map(luma);
    let mean = |f: &dyn Fn(usize) -> f64, left: usize, top: usize| -> f64 {
        let row = |i: usize| -> f64 {
            let start = (top + i) * width + left;
            bell.iter().enumerate().map(|(j, b)| b * f(start + j)).sum()
        };
        bell.iter().enumerate().map(|(i, b)| b * row(i)).sum::<f64>() / (whole * whole)
    };
    let (c1, c2) = ((0.01f64 * 255.0).powi(2), (0.03f64 * 255.0).powi(2));
    let (mut sum, mut count) = (0.0, 0.0);
    for top in 0..=height - SIDE {
        for left in 0..=width - SIDE {
            let (mx, my) = (mean(&|i| x[i], left, top), mean(&|i| y[i], left, top));
            let vx = mean(&|i| x[i] * x[i], left, top) - mx * mx;
            let vy = mean(&|i| y[i] * y[i], left, top) - my * my;
            let vxy = mean(&|i| x[i] * y[i], left, top) - mx * my;
            sum += (2.0 * mx * my + c1) * (2.0 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2));
            count += 1.0;
        }
    }
    sum / count
}

fn luma(frame: &FrameRgb) -> Vec<f64> {
    let (pixels, _) = frame.data.as_chunks::<3>();
    let of = |&[r, g, b]: &[u8; 3]| 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
    pixels.iter().map(of).collect()
}

#[test]
fn the_measures_are_what_they_are_called() {
    let frame = |byte: &dyn Fn(usize) -> u8| {
        let data = (0..16 * 13 * 3).map(|i| byte(i / 3)).collect();
        vec![FrameRgb {
            width: 16,
            height: 13,
            data,
        }]
    };
    let (flat, lighter) = (frame(&|_| 100), frame(&|_| 110));
    assert!((psnr(&lighter, &flat) - 20.0 * 25.5f64.log10()).abs() < 1e-9);
    // Without structure only the means are compared: (2ab + c₁) / (a² + b² + c₁).
    let expected = (22_000.0 + 6.5025) / (22_100.0 + 6.5025);
    assert!((ssim(&lighter, &flat) - expected).abs() < 1e-6);
    let checks = frame(&|i| if (i / 16 + i % 16) % 2 == 0 { 60 } else { 160 });
    assert!((ssim(&checks, &checks) - 1.0).abs() < 1e-9);
    // The mirror image of a structure is as unlike as can be.
    let mirrored = frame(&|i| if (i / 16 + i % 16) % 2 == 0 { 160 } else { 60 });
    assert!(ssim(&mirrored, &checks) < -0.9);
}

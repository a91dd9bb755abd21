//! The files of the pages, one entry each. Written by the build of `studio/` (`cargo xtask studio`), not by hand.

use super::Asset;

pub(super) const ASSETS: &[Asset] = &[
    Asset {
        path: "assets/code-Cn0YqIrR.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"4459274068d1b68e\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-Cn0YqIrR.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-Cn0YqIrR.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-Cn0YqIrR.css.br"
        )),
    },
    Asset {
        path: "assets/code-Dn1knEa1.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"05daed82191f811a\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-Dn1knEa1.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-Dn1knEa1.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-Dn1knEa1.js.br"
        )),
    },
    Asset {
        path: "assets/docs-DQ7X1-PO.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"73ddd50a858bcd23\"",
        plain: include_bytes!("../../../../../studio/dist/assets/docs-DQ7X1-PO.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-DQ7X1-PO.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-DQ7X1-PO.js.br"
        )),
    },
    Asset {
        path: "assets/docs-V0KMFfwv.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"2c6c41fd800ca0dc\"",
        plain: include_bytes!("../../../../../studio/dist/assets/docs-V0KMFfwv.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-V0KMFfwv.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-V0KMFfwv.css.br"
        )),
    },
    Asset {
        path: "assets/icon-OUy7wU_H.svg",
        content_type: "image/svg+xml",
        etag: "W/\"47b9b407d74c4163\"",
        plain: include_bytes!("../../../../../studio/dist/assets/icon-OUy7wU_H.svg"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/icon-OUy7wU_H.svg.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/icon-OUy7wU_H.svg.br"
        )),
    },
    Asset {
        path: "assets/studio-BJWoiuQX.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"0ff6952febc01cf7\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-BJWoiuQX.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-BJWoiuQX.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-BJWoiuQX.js.br"
        )),
    },
    Asset {
        path: "assets/studio-BVvLKKoV.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"66e2e573e0b8bb25\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-BVvLKKoV.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-BVvLKKoV.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-BVvLKKoV.css.br"
        )),
    },
    Asset {
        path: "docs.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"c6a4fbcc59c2cf92\"",
        plain: include_bytes!("../../../../../studio/dist/docs.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/docs.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/docs.html.br")),
    },
    Asset {
        path: "studio.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"2c88e396426c268d\"",
        plain: include_bytes!("../../../../../studio/dist/studio.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/studio.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/studio.html.br")),
    },
];

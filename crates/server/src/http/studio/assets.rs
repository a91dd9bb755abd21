//! The files of the pages, one entry each. Written by the build of `studio/` (`cargo xtask studio`), not by hand.

use super::Asset;

pub(super) const ASSETS: &[Asset] = &[
    Asset {
        path: "assets/code-DOyeletH.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"c8426c8f2d3f55a7\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-DOyeletH.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-DOyeletH.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-DOyeletH.css.br"
        )),
    },
    Asset {
        path: "assets/code-DbEinE8l.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"5997f2a11306ea83\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-DbEinE8l.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-DbEinE8l.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-DbEinE8l.js.br"
        )),
    },
    Asset {
        path: "assets/docs-CTdyBypw.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"9519d16f57ab54fa\"",
        plain: include_bytes!("../../../../../studio/dist/assets/docs-CTdyBypw.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-CTdyBypw.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-CTdyBypw.css.br"
        )),
    },
    Asset {
        path: "assets/docs-D_ZVasbN.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"f717b9b64ae0749d\"",
        plain: include_bytes!("../../../../../studio/dist/assets/docs-D_ZVasbN.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-D_ZVasbN.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-D_ZVasbN.js.br"
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
        path: "assets/studio-BGPqhK86.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"17d1c05a975e52ea\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-BGPqhK86.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-BGPqhK86.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-BGPqhK86.css.br"
        )),
    },
    Asset {
        path: "assets/studio-DwpYnpZ0.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"5d6e52fdc0e94d4d\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-DwpYnpZ0.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-DwpYnpZ0.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-DwpYnpZ0.js.br"
        )),
    },
    Asset {
        path: "docs.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"c577bc9dbbd22c61\"",
        plain: include_bytes!("../../../../../studio/dist/docs.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/docs.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/docs.html.br")),
    },
    Asset {
        path: "studio.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"2c21a0483458cbce\"",
        plain: include_bytes!("../../../../../studio/dist/studio.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/studio.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/studio.html.br")),
    },
];

//! The files of the pages, one entry each. Written by the build of `studio/` (`cargo xtask studio`), not by hand.

use super::Asset;

pub(super) const ASSETS: &[Asset] = &[
    Asset {
        path: "assets/code-BrJUe4oq.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"910e4f57ec029d02\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-BrJUe4oq.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-BrJUe4oq.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-BrJUe4oq.css.br"
        )),
    },
    Asset {
        path: "assets/code-C0gWUie7.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"cb3dd2d144a124d4\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-C0gWUie7.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-C0gWUie7.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-C0gWUie7.js.br"
        )),
    },
    Asset {
        path: "assets/docs-D7qui1Bx.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"9835ce44c48ed3f1\"",
        plain: include_bytes!("../../../../../studio/dist/assets/docs-D7qui1Bx.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-D7qui1Bx.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-D7qui1Bx.js.br"
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
        path: "assets/studio-DEx01hAE.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"2404fedad2eaa8db\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-DEx01hAE.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-DEx01hAE.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-DEx01hAE.js.br"
        )),
    },
    Asset {
        path: "assets/studio-n3dwOU4C.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"ccc30d3d5908c624\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-n3dwOU4C.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-n3dwOU4C.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-n3dwOU4C.css.br"
        )),
    },
    Asset {
        path: "docs.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"cb642301d31f10b1\"",
        plain: include_bytes!("../../../../../studio/dist/docs.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/docs.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/docs.html.br")),
    },
    Asset {
        path: "studio.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"0cb1ded981fac135\"",
        plain: include_bytes!("../../../../../studio/dist/studio.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/studio.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/studio.html.br")),
    },
];

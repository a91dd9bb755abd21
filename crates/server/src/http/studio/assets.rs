//! The files of the pages, one entry each. Written by the build of `studio/` (`cargo xtask studio`), not by hand.

use super::Asset;

pub(super) const ASSETS: &[Asset] = &[
    Asset {
        path: "assets/code-DD41jJDX.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"86eeef9bd61a9ece\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-DD41jJDX.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-DD41jJDX.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-DD41jJDX.css.br"
        )),
    },
    Asset {
        path: "assets/code-DSh7Ni8s.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"a9019c36f8c79e68\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-DSh7Ni8s.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-DSh7Ni8s.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-DSh7Ni8s.js.br"
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
        path: "assets/docs-WSHKeTQL.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"38b16e93dc9151fb\"",
        plain: include_bytes!("../../../../../studio/dist/assets/docs-WSHKeTQL.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-WSHKeTQL.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-WSHKeTQL.js.br"
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
        path: "assets/studio-0Vtkg51y.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"846c8fdb638d98e1\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-0Vtkg51y.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-0Vtkg51y.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-0Vtkg51y.js.br"
        )),
    },
    Asset {
        path: "assets/studio-7wUr1jxD.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"dd5e1dea4ebfbe5b\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-7wUr1jxD.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-7wUr1jxD.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-7wUr1jxD.css.br"
        )),
    },
    Asset {
        path: "docs.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"18aa75d6909dac7d\"",
        plain: include_bytes!("../../../../../studio/dist/docs.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/docs.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/docs.html.br")),
    },
    Asset {
        path: "studio.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"3c3b47e911be1c5f\"",
        plain: include_bytes!("../../../../../studio/dist/studio.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/studio.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/studio.html.br")),
    },
];

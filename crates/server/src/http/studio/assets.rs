//! The files of the pages, one entry each. Written by the build of `studio/` (`cargo xtask studio`), not by hand.

use super::Asset;

pub(super) const ASSETS: &[Asset] = &[
    Asset {
        path: "assets/code-D4pJ-jyz.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"d6273352c2e33a36\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-D4pJ-jyz.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-D4pJ-jyz.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-D4pJ-jyz.js.br"
        )),
    },
    Asset {
        path: "assets/code-DW8r7TlW.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"533dd785a0f70cbf\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-DW8r7TlW.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-DW8r7TlW.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-DW8r7TlW.css.br"
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
        path: "assets/docs-rkl4kTH5.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"4902b870dc818b55\"",
        plain: include_bytes!("../../../../../studio/dist/assets/docs-rkl4kTH5.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-rkl4kTH5.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-rkl4kTH5.js.br"
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
        path: "assets/studio-CVhjIeEO.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"ad10b500335fb203\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-CVhjIeEO.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-CVhjIeEO.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-CVhjIeEO.js.br"
        )),
    },
    Asset {
        path: "assets/studio-DmwRbItE.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"9e23bfb72b9184f0\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-DmwRbItE.css"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-DmwRbItE.css.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-DmwRbItE.css.br"
        )),
    },
    Asset {
        path: "docs.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"24b4c2f9fe3dc366\"",
        plain: include_bytes!("../../../../../studio/dist/docs.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/docs.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/docs.html.br")),
    },
    Asset {
        path: "studio.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"ea7214002402ab39\"",
        plain: include_bytes!("../../../../../studio/dist/studio.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/studio.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/studio.html.br")),
    },
];

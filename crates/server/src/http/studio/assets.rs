//! The files of the pages, one entry each. Written by the build of `studio/` (`cargo xtask studio`), not by hand.

use super::Asset;

pub(super) const ASSETS: &[Asset] = &[
    Asset {
        path: "assets/code-CWoBCw4U.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"9baac25a874427da\"",
        plain: include_bytes!("../../../../../studio/dist/assets/code-CWoBCw4U.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-CWoBCw4U.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/code-CWoBCw4U.js.br"
        )),
    },
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
        path: "assets/docs-CPYzau4J.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"144c216aad3c67b8\"",
        plain: include_bytes!("../../../../../studio/dist/assets/docs-CPYzau4J.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-CPYzau4J.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/docs-CPYzau4J.js.br"
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
        path: "assets/studio-DWaUosdk.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"0cc0f473a906e5bc\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-DWaUosdk.js"),
        gzip: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-DWaUosdk.js.gz"
        )),
        brotli: Some(include_bytes!(
            "../../../../../studio/dist/assets/studio-DWaUosdk.js.br"
        )),
    },
    Asset {
        path: "docs.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"1055d4f8ad2aa187\"",
        plain: include_bytes!("../../../../../studio/dist/docs.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/docs.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/docs.html.br")),
    },
    Asset {
        path: "studio.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"f355f45a36f84a46\"",
        plain: include_bytes!("../../../../../studio/dist/studio.html"),
        gzip: Some(include_bytes!("../../../../../studio/dist/studio.html.gz")),
        brotli: Some(include_bytes!("../../../../../studio/dist/studio.html.br")),
    },
];

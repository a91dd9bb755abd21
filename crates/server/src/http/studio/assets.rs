//! The files of the pages, one entry each. Written by the build of `studio/` (`cargo xtask studio`), not by hand.

use super::Asset;

pub(super) const ASSETS: &[Asset] = &[
    Asset {
        path: "assets/docs-C1CRZvIR.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"684c70732bfebd46\"",
        plain: include_bytes!("../../../../../studio/dist/assets/docs-C1CRZvIR.js"),
        gzip: include_bytes!("../../../../../studio/dist/assets/docs-C1CRZvIR.js.gz"),
        brotli: include_bytes!("../../../../../studio/dist/assets/docs-C1CRZvIR.js.br"),
    },
    Asset {
        path: "assets/icon-D1wHrtCD.svg",
        content_type: "image/svg+xml",
        etag: "W/\"d9f3fc24a2b87fde\"",
        plain: include_bytes!("../../../../../studio/dist/assets/icon-D1wHrtCD.svg"),
        gzip: include_bytes!("../../../../../studio/dist/assets/icon-D1wHrtCD.svg.gz"),
        brotli: include_bytes!("../../../../../studio/dist/assets/icon-D1wHrtCD.svg.br"),
    },
    Asset {
        path: "assets/jsxRuntime-TZrNw7dA.css",
        content_type: "text/css; charset=utf-8",
        etag: "W/\"6d6068180a5c710c\"",
        plain: include_bytes!("../../../../../studio/dist/assets/jsxRuntime-TZrNw7dA.css"),
        gzip: include_bytes!("../../../../../studio/dist/assets/jsxRuntime-TZrNw7dA.css.gz"),
        brotli: include_bytes!("../../../../../studio/dist/assets/jsxRuntime-TZrNw7dA.css.br"),
    },
    Asset {
        path: "assets/jsxRuntime-njACcTg6.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"4db8019f04f9da51\"",
        plain: include_bytes!("../../../../../studio/dist/assets/jsxRuntime-njACcTg6.js"),
        gzip: include_bytes!("../../../../../studio/dist/assets/jsxRuntime-njACcTg6.js.gz"),
        brotli: include_bytes!("../../../../../studio/dist/assets/jsxRuntime-njACcTg6.js.br"),
    },
    Asset {
        path: "assets/studio-CB9Qr07Z.js",
        content_type: "text/javascript; charset=utf-8",
        etag: "W/\"890754b16e0293db\"",
        plain: include_bytes!("../../../../../studio/dist/assets/studio-CB9Qr07Z.js"),
        gzip: include_bytes!("../../../../../studio/dist/assets/studio-CB9Qr07Z.js.gz"),
        brotli: include_bytes!("../../../../../studio/dist/assets/studio-CB9Qr07Z.js.br"),
    },
    Asset {
        path: "docs.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"ce28c7407494ba1b\"",
        plain: include_bytes!("../../../../../studio/dist/docs.html"),
        gzip: include_bytes!("../../../../../studio/dist/docs.html.gz"),
        brotli: include_bytes!("../../../../../studio/dist/docs.html.br"),
    },
    Asset {
        path: "studio.html",
        content_type: "text/html; charset=utf-8",
        etag: "W/\"78d5a5db67544df5\"",
        plain: include_bytes!("../../../../../studio/dist/studio.html"),
        gzip: include_bytes!("../../../../../studio/dist/studio.html.gz"),
        brotli: include_bytes!("../../../../../studio/dist/studio.html.br"),
    },
];

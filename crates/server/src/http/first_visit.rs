//! Signs a person in who opens the Studio right after the first start, without copying a key by hand.
//!
//! The first start prints a link that ends in a one-time code. The page hands the code in and gets the development key
//! for it: once, within the hour, from this machine only. An endpoint without a code could not be made safe: other
//! users of the machine come from loopback too, and behind a proxy on this machine everybody does. The code stands in
//! the fragment of the link, which no browser sends, and is worth nothing once it was used; the key itself is in no
//! link, so that it stays out of the browser's history, and nobody can make a link that signs others in with a key of
//! their own.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
};

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
};
use kinora_domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    App, NO_STORE,
    auth::hash_secret,
    error::{ApiError, ApiResult},
};

/// How long a code is good for.
const CODE_LIFE_MS: u64 = 3_600_000;

/// The other end of a connection, as the listener saw it.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The key of the first start, waiting for the person who has the code. Empty at every later start.
#[derive(Default)]
pub struct FirstVisit(Mutex<Option<Invitation>>);

struct Invitation {
    code_hash: [u8; 32],
    secret: String,
    ends: Timestamp,
}

impl FirstVisit {
    /// Keeps `secret` for whoever brings `code`.
    pub fn invite(&self, code: &str, secret: &str, now: Timestamp) {
        let invitation = Invitation {
            code_hash: hash_secret(code),
            secret: secret.to_owned(),
            ends: now.plus_ms(CODE_LIFE_MS),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(invitation);
    }

    /// The secret, for the right code in time; and never again. A wrong code leaves the right one good.
    fn redeem(&self, code: &str, now: Timestamp) -> Option<String> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if place.as_ref()?.ends <= now {
            *place = None;
        }
        // Hashes are compared: how long that takes tells nothing about the code.
        let right = place.as_ref()?.code_hash == hash_secret(code);
        let invitation = if right { place.take() } else { None };
        invitation.map(|invitation| invitation.secret)
    }
}

/// What the page hands in.
#[derive(Deserialize)]
pub struct SignIn {
    code: String,
}

/// What it gets.
#[derive(Serialize)]
struct SignedIn {
    api_key: String,
}

/// POST `/studio/sign-in`, the Studio's own. Another site cannot send JSON here: its browser would ask first, and no
/// answer of this server allows it.
pub async fn sign_in(
    State(app): State<App>,
    peer: Option<Extension<Peer>>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Json<SignIn>, axum::extract::rejection::JsonRejection>,
) -> ApiResult<Response> {
    let local = peer.is_some_and(|Extension(Peer(peer))| peer.ip().to_canonical().is_loopback());
    // A name that only resolves to this machine is somebody else's page.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let addressed = names_loopback(uri.host().or(host).unwrap_or_default());
    let same_site = match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        // Sent by browsers only; who is none has the code from the terminal.
        None => true,
    };
    if !(local && addressed && same_site) {
        return Err(ApiError::forbidden(
            "The link of the first start works on the server's own machine only.",
        ));
    }
    let Json(SignIn { code }) = body.map_err(|_| ApiError::forbidden("Send a code as JSON."))?;
    let Some(api_key) = app.first_visit.redeem(&code, (app.clock)()) else {
        return Err(ApiError::forbidden(
            "The link of the first start has been used or is too old. Make a key with `kinora key create`.",
        ));
    };
    Ok(([(header::CACHE_CONTROL, NO_STORE)], Json(SignedIn { api_key })).into_response())
}

/// Whether a `Host` header, with or without a port, is this machine by its own name.
pub fn names_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_and_for_an_hour() {
        let visit = FirstVisit::default();
        assert_eq!(visit.redeem("", Timestamp(0)), None);
        visit.invite("right", "secret", Timestamp(0));
        let check = |code, at, expected: Option<&str>| {
            assert_eq!(
                visit.redeem(code, Timestamp(at)).as_deref(),
                expected,
                "{code} at {at}"
            );
        };
        check("wrong", 1, None);
        check("", 1, None);
        check("right", 2, Some("secret"));
        check("right", 3, None);
        visit.invite("late", "secret", Timestamp(0));
        check("late", 3_600_000, None);
        check("late", 1, None);
    }

    #[test]
    fn names_of_this_machine() {
        let check = |host, expected| assert_eq!(names_loopback(host), expected, "{host}");
        check("localhost", true);
        check("LocalHost:8080", true);
        check("127.0.0.1:8080", true);
        check("127.9.9.9", true);
        check("[::1]:8080", true);
        check("[::1]", true);
        check("", false);
        check("localhost.example", false);
        check("127.0.0.1.example:80", false);
        check("kinora.example", false);
        check("192.0.2.7:8080", false);
        check("[2001:db8::1]:80", false);
    }
}

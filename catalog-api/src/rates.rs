//! How often the API may be asked: a bound for each principal, and for each neighbourhood of addresses where nobody is
//! known (draft-ietf-httpapi-ratelimit-headers). In memory of fixed size, and of this process alone.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Request, State as Shared};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use domain::throttle::{Allowance, Policy, Throttle};
use domain::{Principal, Timestamp};
use ipnet::IpNet;

use crate::accounts::{Caller, tell};
use crate::door::ClientAddress;
use crate::problem::{Asked, Problem, document};
use crate::{Access, State};

/// Requests in a minute, where nothing else is said.
pub const PER_MINUTE: u32 = 6000;
/// Most requests in a minute that can be said.
pub const PER_MINUTE_MAX: u32 = 60_000;

/// For whoever asks from the machine itself: its operator, or a proxy that this server was not told of and that speaks
/// for everybody. A thousand a second over ten minutes is more than such a machine answers.
const LOCAL: Policy = Policy { name: "local", burst: 600_000, period_ms: 1 };

/// Counts requests.
#[derive(Debug)]
pub struct Rates {
    policy: Option<Policy>,
    proxies: Vec<IpNet>,
    throttle: Mutex<Throttle>,
}

impl Default for Rates {
    fn default() -> Self {
        Self::new(PER_MINUTE, Vec::new())
    }
}

impl Rates {
    /// Lets everybody ask `per_minute` times a minute, at most [`PER_MINUTE_MAX`], and as often as they like if it is 0.
    /// `proxies` are believed about whom they speak for.
    pub fn new(per_minute: u32, proxies: Vec<IpNet>) -> Self {
        let per_minute = per_minute.min(PER_MINUTE_MAX);
        let period_ms = 60_000_u32.checked_div(per_minute).map(i64::from);
        let policy = period_ms.map(|period_ms| Policy { name: "default", burst: per_minute, period_ms });
        Self { policy, proxies, throttle: Mutex::default() }
    }

    /// Counts a request. `None` if there is no bound.
    pub(crate) fn take(
        &self,
        caller: Option<&Principal>,
        (peer, headers): (Option<ClientAddress>, &HeaderMap),
        now: Timestamp,
    ) -> Option<(Policy, Allowance)> {
        let policy = self.policy?;
        let address = peer.map(|peer| self.sender(peer.0, headers));
        let policy = if address.is_some_and(|address| address.is_loopback()) { LOCAL } else { policy };
        let subject = match caller.and_then(Principal::name) {
            Some(name) => format!("of {name}"),
            None => domain::neighbourhood(address),
        };
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        Some((policy, throttle.take(&policy, &subject, now.unix_ms())))
    }

    fn sender(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
        domain::sender(peer, lines, |address| self.proxies.iter().any(|network| network.contains(&address)))
    }
}

/// The bound around operations of other crates, who find out themselves who asks.
pub(crate) async fn bounded(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let (mut parts, body) = request.into_parts();
    let caller = match &state.access {
        // Who that is not is told by their own door.
        Access::Accounts(accounts) => accounts.caller(&parts.method, &parts.uri, &parts.headers).await.ok(),
        Access::Open => None,
    };
    let peer = parts.extensions.get::<ClientAddress>().copied();
    let principal = caller.as_ref().map(|Caller { principal, .. }| principal);
    let rate = state.rates.take(principal, (peer, &parts.headers), state.clock.now());
    if let Some((policy, allowance)) = rate.filter(|(_, allowance)| allowance.is_exceeded) {
        return document(Problem::too_many_requests(policy, allowance), &asked);
    }
    if let Some(caller) = caller {
        parts.extensions.insert(caller);
    }
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if let Some((policy, allowance)) = rate {
        tell(&policy, &allowance, response.headers_mut());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000)
    }

    fn taken(rates: &Rates, peer: &str, forwarded: &str) -> Option<(&'static str, bool)> {
        let headers = HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), forwarded.parse().unwrap())]);
        let peer = ClientAddress(peer.parse().unwrap());
        rates.take(None, (Some(peer), &headers), now()).map(|(policy, left)| (policy.name, left.is_exceeded))
    }

    #[test]
    fn each_neighbourhood_has_its_own_and_the_machine_itself_another_one() {
        let rates = Rates::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        for is_exceeded in [false, false, true] {
            assert_eq!(taken(&rates, "2001:db8::1", ""), Some(("default", is_exceeded)));
        }
        assert_eq!(taken(&rates, "2001:db8::2", ""), Some(("default", true)), "of the same subscriber");
        assert_eq!(taken(&rates, "192.0.2.1", "192.0.2.2"), Some(("default", false)), "a stranger is not believed");
        assert_eq!(taken(&rates, "10.1.1.1", "192.0.2.1"), Some(("default", false)), "a proxy is");
        assert_eq!(taken(&rates, "10.1.1.1", "192.0.2.1"), Some(("default", true)));
        for _ in 0..10 {
            assert_eq!(taken(&rates, "127.0.0.1", ""), Some(("local", false)));
        }
    }

    #[test]
    fn a_principal_has_one_from_wherever_they_ask() {
        let rates = Rates::new(1, Vec::new());
        let ada = Principal::Token { name: "ada".into() };
        let taken = |peer: &str| {
            let peer = ClientAddress(peer.parse().unwrap());
            rates.take(Some(&ada), (Some(peer), &HeaderMap::new()), now()).map(|(_, left)| left.is_exceeded)
        };
        assert_eq!(["192.0.2.1", "192.0.2.2"].map(taken), [Some(false), Some(true)]);
    }

    #[test]
    fn none_is_told_where_there_is_none() {
        assert_eq!(taken(&Rates::new(0, Vec::new()), "192.0.2.1", ""), None);
    }
}

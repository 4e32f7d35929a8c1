//! How large may the body of one request be?

use domain::ByteSize;

use super::{Trial, line};

/// Octets that are really sent with each try.
const PIECE_BYTES: u64 = 16 << 10;
/// Bodies are not tried below this length.
const LEAST_BYTES: u64 = 64 << 10;
/// Tries between the least and the most: enough for a sixteenth of the result.
const TRIES_MAX: u32 = 20;

/// What became of a body of some length.
enum Outcome {
    Passes,
    Refused(String),
}

impl Trial {
    /// Announces bodies of different lengths and looks which ones are turned away at once; then sends one.
    pub(super) async fn limit(&mut self) {
        let name = "body size";
        let advice = "clients that send a file in one request fail; lift the limit (nginx: client_max_body_size 0)";
        let announced = match self.limit_found().await {
            Ok(announced) => announced,
            Err(said) => return self.warn(name, format!("cannot be told: {said}")),
        };
        let bytes = self.tempo.speed_bytes.min(self.body_bytes_max);
        let sent = self.append(bytes).await;
        self.plain = sent.as_ref().ok().map(|answer| (bytes, answer.took));
        let most = ByteSize(self.body_bytes_max);
        match (announced, sent) {
            (Some(said), _) => {
                self.fail(name, format!("requests of more than about {most} are refused ({said}): {advice}"))
            }
            (None, Ok(_)) => self.ok(name, format!("requests of {most} get through")),
            (None, Err(said)) => {
                self.fail(
                    name,
                    format!("a request of {} is refused while it is sent ({said}): {advice}", ByteSize(bytes)),
                );
                self.body_bytes_max = LEAST_BYTES;
                if let Err(said) = self.settle().await {
                    self.warn(name, format!("afterwards the upload cannot be found: {said}"));
                }
            }
        }
    }

    /// What is said of larger bodies than `body_bytes_max`, which is set.
    async fn limit_found(&mut self) -> Result<Option<String>, String> {
        let most = self.length - self.offset - PIECE_BYTES * u64::from(TRIES_MAX + 1);
        let Outcome::Refused(mut said) = self.tried_body(most).await? else {
            self.body_bytes_max = most;
            return Ok(None);
        };
        if let Outcome::Refused(said) = self.tried_body(LEAST_BYTES).await? {
            self.body_bytes_max = LEAST_BYTES;
            return Ok(Some(said));
        }
        let (mut passes, mut refused) = (LEAST_BYTES, most);
        // Halves the ratio of the two until it is small; the number of tries is a bound of its own.
        for _ in 0..TRIES_MAX {
            if refused - passes <= passes / 16 {
                break;
            }
            let between = if refused / passes >= 4 { passes.saturating_mul(2) } else { passes.midpoint(refused) };
            match self.tried_body(between).await? {
                Outcome::Passes => passes = between,
                Outcome::Refused(again) => (refused, said) = (between, again),
            }
        }
        self.body_bytes_max = passes;
        Ok(Some(said))
    }

    /// Announces a body of `bytes` octets and begins to send it.
    async fn tried_body(&mut self, bytes: u64) -> Result<Outcome, String> {
        let (body, passed) = line::begun(self.octets(PIECE_BYTES.min(bytes)));
        let request = self.patch().header("Content-Length", bytes).body(body).map_err(|error| error.to_string())?;
        let mut held = self.site.hold(request, passed).await.map_err(|fault| super::told(&fault))?;
        let outcome = match held.answer(self.tempo.early_answer).await {
            None => Outcome::Passes,
            Some(Ok(answer)) if answer.is_of_server() && answer.status.is_success() => Outcome::Passes,
            Some(Ok(answer)) if answer.is_of_server() => return Err(answer.said()),
            Some(Ok(answer)) => Outcome::Refused(answer.status.to_string()),
            Some(Err(fault)) => Outcome::Refused(super::told(&fault)),
        };
        drop(held);
        self.settle().await?;
        Ok(outcome)
    }
}

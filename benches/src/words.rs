//! Made-up texts in which words are as frequent as in speech: the n-th most frequent one stands in one of n places.

use domain::About;
use domain::about::Credit;

/// Words that texts are made of.
const WORDS: u64 = 20_000;

/// Numbers that look random and are the same in each run (xorshift64*).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers that follow from a seed, which is not 0.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one, of 48 bits.
    pub fn throw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A word, the n-th with a frequency of one in n.
    pub fn word(&mut self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a share of a small range")]
        let share = (self.throw() % (1 << 20)) as f64 / f64::from(1 << 20);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "1 to WORDS"
        )]
        let rank = (WORDS as f64).powf(share) as u64;
        name(rank)
    }

    /// So many of them.
    pub fn text(&mut self, words: u64) -> String {
        (0..words).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }
}

/// A word by its rank, such as `teradu`.
pub fn name(rank: u64) -> String {
    const SYLLABLES: [&str; 16] =
        ["te", "ra", "du", "mi", "so", "ka", "lé", "no", "pi", "vu", "ga", "fe", "zo", "hi", "ja", "bu"];
    let mut rest = rank.wrapping_mul(2_654_435_761) % (1 << 20);
    let mut word = String::new();
    for _ in 0..5 {
        word.push_str(SYLLABLES[usize::try_from(rest % 16).unwrap_or(0)]);
        rest /= 16;
    }
    word
}

/// What could be said about an asset.
pub fn about(dice: &mut Dice) -> About {
    let credit = |dice: &mut Dice| Credit { name: dice.text(2), role: "actor".into() };
    About {
        title: Some(dice.text(4)),
        description: Some(dice.text(60)),
        tags: (0..4).map(|_| dice.word()).collect(),
        genres: vec![name(dice.throw() % 20)],
        people: (0..4).map(|_| credit(dice)).collect(),
        ..About::default()
    }
}

/// Makes up a query.
pub type Make = fn(&mut Dice) -> String;

/// What people search for, by kind: words that tell things apart, not those that are in every text.
pub const QUERIES: [(&str, Make); 6] = [
    ("a rare word", |dice| name(2000 + dice.throw() % 18_000)),
    ("a usual word", |dice| name(100 + dice.throw() % 1900)),
    ("two usual words", |dice| format!("{} {}", name(20 + dice.throw() % 200), name(20 + dice.throw() % 200))),
    ("a phrase", |dice| format!("\"{} {}\"", name(1 + dice.throw() % 50), name(1 + dice.throw() % 50))),
    ("a beginning", |dice| format!("{}*", name(100 + dice.throw() % 1900).chars().take(5).collect::<String>())),
    ("a slip of the hand", |dice| name(2000 + dice.throw() % 18_000).replacen(['e', 'a', 'o'], "y", 1)),
];

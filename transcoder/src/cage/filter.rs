//! The policy as Landlock rules and seccomp filters.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr, RulesetError,
    RulesetStatus, Scope,
};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::policy::{self, Argument, Guarded, Value};

/// Newest Landlock ABI that the rules are written for; older kernels enforce what they know.
const LANDLOCK_ABI: ABI = ABI::V6;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// A Landlock rule set that handles everything and allows nothing: no path, no port, no signal to
/// others. Says how far it is enforced, and the kernel's ABI.
pub(super) fn restrict_paths() -> Result<(&'static str, i32), RulesetError> {
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK_ABI))?
        .handle_access(AccessNet::from_all(LANDLOCK_ABI))?
        .scope(Scope::from_all(LANDLOCK_ABI))?
        .create()?
        .restrict_self()?;
    let enforced = match status.ruleset {
        RulesetStatus::FullyEnforced => "fully",
        RulesetStatus::PartiallyEnforced => "partially",
        RulesetStatus::NotEnforced => "not",
    };
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } => kernel_abi.unwrap_or(effective_abi as i32),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    };
    Ok((enforced, abi))
}

/// Everything but the calls of the policy is refused from here on.
pub(super) fn restrict_calls() -> Result<(), seccompiler::Error> {
    let any = |calls: &[i64]| -> Rules { calls.iter().map(|call| (*call, Vec::new())).collect() };
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    apply(any(policy::ABSENT), SeccompAction::Allow, absent)?;
    let mut rules = any(policy::ALLOWED);
    for Guarded { call, arguments } in policy::GUARDED {
        let conditions = arguments.iter().map(condition).collect::<Result<_, BackendError>>()?;
        rules.insert(*call, vec![SeccompRule::new(conditions)?]);
    }
    apply(rules, SeccompAction::Errno(libc::EPERM.unsigned_abs()), SeccompAction::Allow)
}

fn apply(rules: Rules, mismatch: SeccompAction, matched: SeccompAction) -> Result<(), seccompiler::Error> {
    let arch = std::env::consts::ARCH.try_into()?;
    let filter: BpfProgram = SeccompFilter::new(rules, mismatch, matched, arch)?.try_into()?;
    seccompiler::apply_filter(&filter)
}

fn condition(argument: &Argument) -> Result<SeccompCondition, BackendError> {
    let value = match argument.value {
        Value::Is(value) => value,
        Value::OwnProcess => u64::from(std::process::id()),
    };
    let same_bits = SeccompCmpOp::MaskedEq(argument.mask);
    SeccompCondition::new(argument.index, SeccompCmpArgLen::Qword, same_bits, value)
}

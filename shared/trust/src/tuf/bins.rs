//! Hash bins: many delegated roles that share out all targets by the digests of their paths, so that none of their files
//! is long (TUF specification §4.5, as PEP 458 uses them).
//!
//! **Invariant: every path belongs to exactly one bin.** Not here: succinct bins (TAP 15).

use crate::tuf::keys::RoleKeys;
use crate::tuf::{DelegatedRole, Delegations, Role, Scope, TargetInfo, TargetPath, TufError};
use std::collections::BTreeMap;

/// Most bins: 2 to the power of this.
pub const BIN_BITS_MAX: u32 = 14;

/// What each delegated role lists, by the role's name.
pub type Shares = BTreeMap<String, BTreeMap<TargetPath, TargetInfo>>;

impl Delegations {
    /// 2 to the power of `bits` bins that the same keys speak for, named `<name>-<first prefix>-<last prefix>`, or
    /// `<name>-<prefix>` where a bin has one prefix. `bits` is 1 to [`BIN_BITS_MAX`].
    pub fn hash_bins(name: &str, bits: u32, keys: &RoleKeys) -> Result<Self, TufError> {
        if !(1..=BIN_BITS_MAX).contains(&bits) {
            return Err(TufError::Malformed {
                role: Role::Targets,
                why: format!("2 to the power of {bits} hash bins cannot be"),
            });
        }
        let digits = bits.div_ceil(4);
        let each = 1_u32 << (4 * digits - bits);
        let width = digits as usize;
        let prefix = |number: u32| format!("{number:0width$x}");
        let roles = (0..1_u32 << bits).map(|bin| {
            let (first, last) = (bin * each, bin * each + each - 1);
            let span = if first == last {
                prefix(first)
            } else {
                format!("{}-{}", prefix(first), prefix(last))
            };
            DelegatedRole {
                name: format!("{name}-{span}"),
                keys: keys.clone(),
                terminating: true,
                scope: Scope::HashPrefixes((first..=last).map(prefix).collect()),
            }
        });
        Self::new(roles.collect())
    }

    /// Shares targets out: each goes to the first role that may speak for it. Every role is in the answer, if only with
    /// nothing. A target that no role may speak for is refused.
    pub fn share_out(&self, targets: BTreeMap<TargetPath, TargetInfo>) -> Result<Shares, TufError> {
        let roles = self.roles().iter();
        let mut shares: Shares = roles
            .map(|role| (role.name.clone(), BTreeMap::new()))
            .collect();
        for (path, info) in targets {
            let role = self.roles().iter().find(|role| role.scope.covers(&path));
            let share = role.and_then(|role| shares.get_mut(&role.name));
            let share = share.ok_or_else(|| TufError::Malformed {
                role: Role::Targets,
                why: format!("no delegated role may speak for {:?}", path.as_str()),
            })?;
            share.insert(path, info);
        }
        Ok(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;
    use kintsugi_domain::digest::Digest;

    fn keys() -> RoleKeys {
        let key = SecretKey::from_random(&[1; 48]).unwrap();
        RoleKeys::new(Role::Targets, &[key.public_key().unwrap()], 1).unwrap()
    }

    #[test]
    fn every_path_is_in_exactly_one_bin() {
        for bits in 1..=8 {
            let bins = Delegations::hash_bins("bin", bits, &keys()).unwrap();
            assert_eq!(bins.roles().len(), 1 << bits);
            for number in 0..200 {
                let path: TargetPath = format!("dir/{number}").parse().unwrap();
                let found = bins.roles().iter().filter(|it| it.scope.covers(&path));
                assert_eq!(found.count(), 1, "{bits} {path}");
            }
        }
        assert_eq!(
            Delegations::hash_bins("bin", BIN_BITS_MAX, &keys()).map(|it| it.roles().len()),
            Ok(16_384)
        );
    }

    #[test]
    fn bins_are_named_after_their_prefixes() {
        let named = |bits| {
            let bins = Delegations::hash_bins("bin", bits, &keys()).unwrap();
            let names = bins.roles().iter().map(|role| role.name.clone());
            names.collect::<Vec<_>>()
        };
        assert_eq!(named(1), ["bin-0-7", "bin-8-f"]);
        assert_eq!(named(4)[10], "bin-a");
        assert_eq!(named(5)[31], "bin-f8-ff");
    }

    #[test]
    fn a_number_of_bins_that_cannot_be_is_refused() {
        for bits in [0, BIN_BITS_MAX + 1, u32::MAX] {
            let error = Delegations::hash_bins("bin", bits, &keys()).unwrap_err();
            assert_eq!(error.code(), "tuf.malformed");
        }
    }

    #[test]
    fn a_target_that_no_role_may_speak_for_is_refused_and_not_lost() {
        let role = DelegatedRole {
            name: "shelf".to_owned(),
            keys: keys(),
            terminating: false,
            scope: Scope::Paths(vec!["shelf/*".to_owned()]),
        };
        let roles = Delegations::new(vec![role]).unwrap();
        let target = |path: &str| (path.parse().unwrap(), TargetInfo::new(1, Digest::of(b"x")));
        let shares = roles.share_out([target("shelf/a")].into()).unwrap();
        assert_eq!(shares["shelf"].len(), 1);
        let error = roles.share_out([target("shelf/a"), target("b")].into());
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "targets: no delegated role may speak for \"b\"");
    }
}

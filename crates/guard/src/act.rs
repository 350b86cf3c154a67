//! The actions as types, so that a grant for one cannot be used for another.

use custody_types::Action;

mod sealed {
    pub trait Sealed {}
}

/// An action as a type. Closed: only this crate has implementations.
pub trait Act: sealed::Sealed + Send + Sync + 'static {
    /// The action.
    const ACTION: Action;
}

/// An action whose grant opens the bytes of a version.
pub trait Reads: Act {}

/// An action whose grant makes a version.
pub trait Writes: Act {}

/// An action whose grant opens records, but no bytes of data.
pub trait Looks: Act {}

macro_rules! acts {
    ($($(#[$meta:meta])* $name:ident $(: $also:ident)?;)+) => {
        $(
            $(#[$meta])*
            #[derive(Debug)]
            pub enum $name {}
            impl sealed::Sealed for $name {}
            impl Act for $name { const ACTION: Action = Action::$name; }
            $(impl $also for $name {})?
        )+

        #[cfg(test)]
        pub(crate) const ALL: &[Action] = &[$(<$name as Act>::ACTION),+];
    };
}

acts! {
    /// [`Action::CreateProject`].
    CreateProject;
    /// [`Action::Collect`].
    Collect: Writes;
    /// [`Action::Read`].
    Read: Reads;
    /// [`Action::Export`].
    Export: Reads;
    /// [`Action::Write`].
    Write: Writes;
    /// [`Action::List`].
    List: Looks;
    /// [`Action::SetAlias`].
    SetAlias;
    /// [`Action::Trace`].
    Trace: Looks;
    /// [`Action::Verify`].
    Verify: Looks;
    /// [`Action::StartRun`].
    StartRun: Looks;
    /// [`Action::RunStep`].
    RunStep: Looks;
    /// [`Action::ReadLog`].
    ReadLog;
    /// [`Action::Declassify`].
    Declassify;
    /// [`Action::Reproduce`].
    Reproduce: Looks;
    /// [`Action::Validate`].
    Validate: Reads;
    /// [`Action::InstallEnvironment`].
    InstallEnvironment: Writes;
    /// [`Action::EvaluateModel`].
    EvaluateModel;
    /// [`Action::DecideGate`].
    DecideGate;
    /// [`Action::RegisterModel`].
    RegisterModel: Writes;
    /// [`Action::ScanModel`].
    ScanModel: Looks;
    /// [`Action::Approve`].
    Approve: Looks;
    /// [`Action::Reject`].
    Reject: Looks;
    /// [`Action::SignModel`].
    SignModel;
    /// [`Action::ReadLedger`].
    ReadLedger;
    /// [`Action::ExportLedger`].
    ExportLedger;
    /// [`Action::AcceptRollback`].
    AcceptRollback;
    /// [`Action::ReadPolicy`].
    ReadPolicy;
    /// [`Action::ChangePolicy`].
    ChangePolicy;
    /// [`Action::ChangeRules`].
    ChangeRules;
    /// [`Action::RebuildIndex`].
    RebuildIndex;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_its_type() {
        assert_eq!(ALL.len(), Action::ALL.len());
        for action in Action::ALL {
            assert!(ALL.contains(action), "{action}");
        }
    }
}

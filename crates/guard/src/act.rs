//! The actions as types, so that a grant for one cannot be used for another.

use custody_types::Action;

mod sealed {
    pub trait Sealed {}
}

/// An action as a type. Closed: only this crate has implementations.
pub trait ActionMarker: sealed::Sealed + Send + Sync + 'static {
    /// The action.
    const ACTION: Action;
}

/// An action whose grant opens the bytes of a version.
pub trait ReadAccess: ActionMarker {}

/// An action whose grant makes a version.
pub trait WriteAccess: ActionMarker {}

/// An action whose grant opens records, but no bytes of data.
pub trait MetadataAccess: ActionMarker {}

macro_rules! acts {
    ($($(#[$meta:meta])* $name:ident $(: $also:ident)?;)+) => {
        $(
            $(#[$meta])*
            #[derive(Debug)]
            pub enum $name {}
            impl sealed::Sealed for $name {}
            impl ActionMarker for $name { const ACTION: Action = Action::$name; }
            $(impl $also for $name {})?
        )+

        #[cfg(test)]
        pub(crate) const ALL: &[Action] = &[$(<$name as ActionMarker>::ACTION),+];
    };
}

acts! {
    /// [`Action::CreateProject`].
    CreateProject;
    /// [`Action::Collect`].
    Collect: WriteAccess;
    /// [`Action::Read`].
    Read: ReadAccess;
    /// [`Action::Export`].
    Export: ReadAccess;
    /// [`Action::Write`].
    Write: WriteAccess;
    /// [`Action::List`].
    List: MetadataAccess;
    /// [`Action::SetAlias`].
    SetAlias;
    /// [`Action::Trace`].
    Trace: MetadataAccess;
    /// [`Action::Verify`].
    Verify: MetadataAccess;
    /// [`Action::StartRun`].
    StartRun: MetadataAccess;
    /// [`Action::ReadRun`].
    ReadRun;
    /// [`Action::CancelRun`].
    CancelRun;
    /// [`Action::RunStep`].
    RunStep: MetadataAccess;
    /// [`Action::Connect`].
    Connect;
    /// [`Action::ReadLog`].
    ReadLog;
    /// [`Action::Declassify`].
    Declassify;
    /// [`Action::Reproduce`].
    Reproduce: MetadataAccess;
    /// [`Action::Validate`].
    Validate: ReadAccess;
    /// [`Action::InstallEnvironment`].
    InstallEnvironment: WriteAccess;
    /// [`Action::EvaluateModel`].
    EvaluateModel;
    /// [`Action::DecideGate`].
    DecideGate;
    /// [`Action::RegisterModel`].
    RegisterModel: WriteAccess;
    /// [`Action::ScanModel`].
    ScanModel: MetadataAccess;
    /// [`Action::Approve`].
    Approve: MetadataAccess;
    /// [`Action::Reject`].
    Reject: MetadataAccess;
    /// [`Action::Remove`].
    Remove: MetadataAccess;
    /// [`Action::Shred`].
    Shred;
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
    /// [`Action::ProposeChange`].
    ProposeChange;
    /// [`Action::ReadIdentity`].
    ReadIdentity;
    /// [`Action::CreateToken`].
    CreateToken;
    /// [`Action::RevokeToken`].
    RevokeToken;
    /// [`Action::Invite`].
    Invite;
    /// [`Action::Enrol`].
    Enrol;
    /// [`Action::SignIn`].
    SignIn;
    /// [`Action::SignOut`].
    SignOut;
    /// [`Action::ChangeIdentity`].
    ChangeIdentity;
    /// [`Action::ChangeRules`].
    ChangeRules;
    /// [`Action::ReadKeys`].
    ReadKeys;
    /// [`Action::RotateKeys`].
    RotateKeys;
    /// [`Action::Unseal`].
    Unseal;
    /// [`Action::ReadMetrics`].
    ReadMetrics;
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

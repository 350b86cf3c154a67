//! The licences that the classifiers of Python's index mean.
//!
//! Source: the package `trove-classifiers` and the mapping of PEP 639. A classifier that names a family, such as
//! `BSD License`, means no one licence: it stays a name, as PEP 639 asks.

use crate::licence::Licence;

/// The last part of a classifier, and the licence that it alone means.
const EXACT: [(&str, &str); 59] = [
    ("Aladdin Free Public License (AFPL)", "Aladdin"),
    ("Attribution Assurance License", "AAL"),
    ("Blue Oak Model License (BlueOak-1.0.0)", "BlueOak-1.0.0"),
    ("Boost Software License 1.0 (BSL-1.0)", "BSL-1.0"),
    (
        "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication",
        "CC0-1.0",
    ),
    (
        "CEA CNRS Inria Logiciel Libre License, version 2.1 (CeCILL-2.1)",
        "CECILL-2.1",
    ),
    ("CMU License (MIT-CMU)", "MIT-CMU"),
    (
        "CeCILL-B Free Software License Agreement (CECILL-B)",
        "CECILL-B",
    ),
    (
        "CeCILL-C Free Software License Agreement (CECILL-C)",
        "CECILL-C",
    ),
    (
        "Common Development and Distribution License 1.0 (CDDL-1.0)",
        "CDDL-1.0",
    ),
    ("Common Public License", "CPL-1.0"),
    ("Eclipse Public License 1.0 (EPL-1.0)", "EPL-1.0"),
    ("Eclipse Public License 2.0 (EPL-2.0)", "EPL-2.0"),
    (
        "Educational Community License, Version 2.0 (ECL-2.0)",
        "ECL-2.0",
    ),
    ("European Union Public Licence 1.0 (EUPL 1.0)", "EUPL-1.0"),
    ("European Union Public Licence 1.1 (EUPL 1.1)", "EUPL-1.1"),
    ("European Union Public Licence 1.2 (EUPL 1.2)", "EUPL-1.2"),
    ("GNU Affero General Public License v3", "AGPL-3.0-only"),
    (
        "GNU Affero General Public License v3 or later (AGPLv3+)",
        "AGPL-3.0-or-later",
    ),
    ("GNU General Public License v2 (GPLv2)", "GPL-2.0-only"),
    (
        "GNU General Public License v2 or later (GPLv2+)",
        "GPL-2.0-or-later",
    ),
    ("GNU General Public License v3 (GPLv3)", "GPL-3.0-only"),
    (
        "GNU General Public License v3 or later (GPLv3+)",
        "GPL-3.0-or-later",
    ),
    (
        "GNU Lesser General Public License v2 (LGPLv2)",
        "LGPL-2.0-only",
    ),
    (
        "GNU Lesser General Public License v2 or later (LGPLv2+)",
        "LGPL-2.0-or-later",
    ),
    (
        "GNU Lesser General Public License v3 (LGPLv3)",
        "LGPL-3.0-only",
    ),
    (
        "GNU Lesser General Public License v3 or later (LGPLv3+)",
        "LGPL-3.0-or-later",
    ),
    ("Historical Permission Notice and Disclaimer (HPND)", "HPND"),
    ("IBM Public License", "IPL-1.0"),
    ("ISC License (ISCL)", "ISC"),
    ("Intel Open Source License", "Intel"),
    ("MIT License", "MIT"),
    ("MIT No Attribution License (MIT-0)", "MIT-0"),
    ("MirOS License (MirOS)", "MirOS"),
    ("Motosoto License", "Motosoto"),
    ("Mozilla Public License 1.0 (MPL)", "MPL-1.0"),
    ("Mozilla Public License 1.1 (MPL 1.1)", "MPL-1.1"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    (
        "Mulan Permissive Software License v2 (MulanPSL-2.0)",
        "MulanPSL-2.0",
    ),
    ("NASA Open Source Agreement v1.3 (NASA-1.3)", "NASA-1.3"),
    ("Nethack General Public License", "NGPL"),
    ("Nokia Open Source License", "Nokia"),
    ("Nokia Open Source License (NOKOS)", "Nokia"),
    ("Open Group Test Suite License", "OGTSL"),
    ("Open Software License 3.0 (OSL-3.0)", "OSL-3.0"),
    ("PostgreSQL License", "PostgreSQL"),
    ("Python License (CNRI Python License)", "CNRI-Python"),
    ("Python Software Foundation License", "PSF-2.0"),
    ("Qt Public License (QPL)", "QPL-1.0"),
    ("Ricoh Source Code Public License", "RSCPL"),
    ("SIL Open Font License 1.1 (OFL-1.1)", "OFL-1.1"),
    ("Sleepycat License", "Sleepycat"),
    ("Sun Public License", "SPL-1.0"),
    ("The Unlicense (Unlicense)", "Unlicense"),
    ("Universal Permissive License (UPL)", "UPL-1.0"),
    ("University of Illinois/NCSA Open Source License", "NCSA"),
    ("Vovida Software License 1.0", "VSL-1.0"),
    ("Zero-Clause BSD (0BSD)", "0BSD"),
    ("zlib/libpng License", "Zlib"),
];

/// Classifiers that tell who approved a licence, not which it is.
const SAY_NOTHING: [&str; 2] = ["DFSG approved", "OSI Approved"];

/// Returns the licence of a classifier, given without the `License :: ` in front.
pub(super) fn licence(classifier: &str) -> Option<Licence> {
    if SAY_NOTHING.contains(&classifier) {
        return None;
    }
    let name = classifier
        .rsplit_once(" :: ")
        .map_or(classifier, |(_, last)| last);
    let exact = EXACT.iter().find(|(known, _)| *known == name);
    match exact {
        Some((_, id)) => Licence::spdx(id),
        None => Licence::of(name).map(|licence| Licence::Named(licence.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exact_classifier_is_one_licence_of_spdx() {
        assert!(EXACT.is_sorted_by_key(|(name, _)| name));
        for (name, id) in EXACT {
            let found = licence(&format!("OSI Approved :: {name}"));
            assert!(
                matches!(found, Some(Licence::Id(known)) if known == id),
                "{name}"
            );
        }
    }

    #[test]
    fn families_stay_names_and_approvals_are_left_out() {
        for (classifier, expect) in [
            ("OSI Approved", None),
            ("DFSG approved", None),
            ("OSI Approved :: BSD License", Some("BSD License")),
            (
                "OSI Approved :: Apache Software License",
                Some("Apache Software License"),
            ),
            ("Public Domain", Some("Public Domain")),
            ("OSI Approved :: MIT", Some("MIT")),
        ] {
            let named = expect.map(|name| Licence::Named(name.to_owned()));
            assert_eq!(licence(classifier), named, "{classifier}");
        }
    }
}

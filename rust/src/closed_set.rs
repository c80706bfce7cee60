//! Closed sets: enums of which every value has a stable name, most of them a text, and some a severity.

/// Defines an enum with `ALL`, `name` and `from_name`; with `Display` where the values have a text, and with `severity`
/// where each has one after `=>`.
macro_rules! closed_set {
    (
        $(#[$attribute:meta])*
        $vis:vis enum $name:ident {
            $($(#[$of_variant:meta])* $variant:ident = $word:literal, $text:literal => $severity:ident;)+
        }
    ) => {
        $crate::closed_set::closed_set! {
            $(#[$attribute])*
            $vis enum $name { $($(#[$of_variant])* $variant = $word, $text;)+ }
        }

        impl $name {
            /// How bad it is for a Windows host.
            #[must_use]
            pub fn severity(self) -> $crate::closed_set::Severity {
                match self { $($name::$variant => $crate::closed_set::Severity::$severity,)+ }
            }
        }
    };
    (
        $(#[$attribute:meta])*
        $vis:vis enum $name:ident { $($(#[$of_variant:meta])* $variant:ident = $word:literal, $text:literal;)+ }
    ) => {
        $crate::closed_set::closed_set! {
            $(#[$attribute])*
            $vis enum $name { $($(#[$of_variant])* $variant = $word;)+ }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $($name::$variant => $text,)+ })
            }
        }
    };
    (
        $(#[$attribute:meta])*
        $vis:vis enum $name:ident { $($(#[$of_variant:meta])* $variant:ident = $word:literal;)+ }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name { $($(#[$of_variant])* $variant,)+ }

        // A set that the crate keeps to itself need not use all of it.
        #[allow(dead_code)]
        impl $name {
            /// All values, in the order of their declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The stable name, which programs compare.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// The value of a name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($word => Some($name::$variant),)+ _ => None }
            }
        }
    };
}

pub(crate) use closed_set;

closed_set! {
    /// How bad something is: what a Windows host makes of it.
    ///
    /// ```
    /// use winlayers::problem::{Flaw, Severity};
    /// assert_eq!(Flaw::TrailingData.severity(), Severity::Info);
    /// assert_eq!(Severity::Info.name(), "info");
    /// ```
    pub enum Severity {
        /// The host, or this crate, cannot import or use the layer.
        Error = "error";
        /// It can, and something is lost, or looks other than it was meant.
        Warning = "warning";
        /// It can, and nobody will miss anything.
        Info = "info";
    }
}

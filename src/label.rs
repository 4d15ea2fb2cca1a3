//! Enums whose values have a text: the values of a metric's label. Each set is closed at compile time, so nothing that
//! a peer sends can become a label.

/// A closed set of label values.
pub trait Label: Copy + 'static {
    /// The label's name in the exposition format.
    const NAME: &'static str;
    /// Every value, in the order of [`Label::position`].
    const ALL: &'static [Self];
    /// The value as `/metrics` shows it.
    fn as_str(self) -> &'static str;
    /// The place of the value in [`Label::ALL`].
    fn position(self) -> usize;

    /// The value that `/metrics` shows as `text`, if there is one.
    fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text)
    }
}

/// Declares a label: its documentation, its visibility, its name, and its values with their texts.
macro_rules! label {
    ($(#[$doc:meta])* $vis:vis $name:ident = $label:literal { $($(#[$value_doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name { $($(#[$value_doc])* $value,)+ }

        impl $crate::label::Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$value,)+];

            fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }

            fn position(self) -> usize {
                self as usize
            }
        }
    };
}

pub(crate) use label;

//! Contents as the search sees them: with references written so that they match when they should.
//!
//! A reference changes whenever anything between it and its target does. In the first view the
//! references of code are blank, so that alike code is alike. In the second every reference holds a label:
//! the old position of its target, which for new content is known from the copies of the first search.

use super::moves::Map;
use super::refs::{Form, Reference};

/// The view with blank references.
pub(super) fn blank(content: &[u8], references: &[Reference]) -> Vec<u8> {
    let mut view = content.to_vec();
    for one in references {
        let is_code = match one.form {
            Form::Call | Form::Jump | Form::Branch | Form::Data | Form::Lea | Form::Arm(_) => true,
            Form::Word | Form::Offset | Form::Own => false,
        };
        if let Some(field) = view.get_mut(one.at as usize..).filter(|_| is_code) {
            one.form.write(field, 0);
        }
    }
    view
}

/// The view with labels. `back` leads from positions of this content to old ones; none if it is the old.
pub(super) fn labelled(content: &[u8], references: &[Reference], back: Option<&Map>) -> Vec<u8> {
    let mut view = content.to_vec();
    for one in references {
        let label = back.map_or(one.target, |back| back.get(one.target).0);
        let label = match one.form {
            Form::Arm(_) => label.wrapping_mul(0x9e37_79b1) >> 5,
            Form::Call
            | Form::Jump
            | Form::Branch
            | Form::Data
            | Form::Lea
            | Form::Word
            | Form::Offset
            | Form::Own => label,
        };
        if let Some(field) = view.get_mut(one.at as usize..) {
            one.form.write(field, i64::from(label));
        }
    }
    view
}

//! Boxes whose children must stand in the order that the standard recommends.

use mp4_atom::Encode;

use super::CmafError;

/// Appends `atom` to `out`.
pub(super) fn put(out: &mut Vec<u8>, atom: &impl Encode) -> Result<(), CmafError> {
    Ok(atom.encode(out)?)
}

/// Appends a box of `kind` whose body is what `body` appends.
pub(super) fn nest(
    out: &mut Vec<u8>,
    kind: [u8; 4],
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), CmafError>,
) -> Result<(), CmafError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind);
    body(out)?;
    let size = u32::try_from(out.len() - start).map_err(|_| CmafError::Overflow)?;
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&size.to_be_bytes());
    }
    Ok(())
}

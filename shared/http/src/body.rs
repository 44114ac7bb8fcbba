//! Reading a request's body under a cap.

use crate::problem::Problem;
use axum::body::Body;
use http_body_util::BodyExt as _;

/// The body, or its first `bytes_max + 1` bytes where it is longer: the one more tells the stage that it
/// is too large, so that the stage can refuse it in its own words and count it.
pub(crate) async fn read(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let most = bytes_max.saturating_add(1);
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        // Whoever sent it has hung up, or did not keep to the protocol.
        let frame = frame.map_err(|_| Problem::malformed("the body ended early"))?;
        if let Ok(data) = frame.into_data() {
            let room = most.saturating_sub(read.len()).min(data.len());
            read.extend_from_slice(data.get(..room).unwrap_or_default());
        }
        if read.len() >= most {
            break;
        }
    }
    Ok(read)
}

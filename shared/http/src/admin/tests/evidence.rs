//! Attachments: who may open them, and how they are handed out.

use super::home;
use axum::http::header;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::kept::Attachment;
use kintsugi_trust::token::Role;

#[tokio::test]
async fn an_attachment_is_handed_to_triagers_alone_and_never_shown() {
    let home = home();
    home.project().await;
    let content = b"<script>alert(1)</script>".to_vec();
    let digest = Digest::of(&content);
    let attachment = Attachment {
        project: ProjectId(1),
        event: None,
        name: "page\".html".to_owned(),
        content_type: Some("text/html".to_owned()),
        is_binary: true,
        blob: format!("events/1/attachments/{digest}"),
        digest,
        bytes: 25,
        at: Timestamp::UNIX_EPOCH,
        remarks: Vec::new(),
    };
    home.put(&attachment).await;
    let list = home
        .ask(Role::Viewer, "GET", "projects/1/attachments", None)
        .await;
    let item = list.json()["items"][0].clone();
    assert_eq!(item["is_binary"], true);
    let id = item["id"].as_str().unwrap();
    let path = format!("projects/1/attachments/{id}");
    let viewer = home.ask(Role::Viewer, "GET", &path, None).await;
    assert_eq!(viewer.code(), (403, "token.role".to_owned()));
    // Its retention is over, or it was never there.
    for path in [path.as_str(), "projects/1/attachments/none"] {
        let gone = home.ask(Role::Triager, "GET", path, None).await;
        assert_eq!(gone.code(), (404, "attachment.unknown".to_owned()));
    }
    let blobs = home.ports.blobs.as_ref();
    blobs.put(&attachment.blob, content.clone()).await.unwrap();
    let got = home.ask(Role::Triager, "GET", &path, None).await;
    assert_eq!(got.text.as_bytes(), content);
    let octets = "application/octet-stream";
    let named = format!("attachment; filename=\"{id}.bin\"");
    for (name, value) in [
        (header::CONTENT_TYPE, octets),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_DISPOSITION, named.as_str()),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        assert_eq!(got.header(name.clone()), value, "{name}");
    }
}

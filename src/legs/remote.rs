//! The session on the other server: it is ended there when the leg ends here, however that happens.

use crate::client::{Created, HttpClient, HttpClientError};

/// A session on the other server. Dropping it ends it there, without waiting for that.
pub(super) struct Remote {
    client: HttpClient,
    created: Option<Created>,
}

impl Remote {
    /// Posts an offer, on a thread that may block. The session ends if nobody waits for it any more.
    ///
    /// # Errors
    /// [`HttpClientError`].
    pub(super) async fn post(client: HttpClient, url: String, offer: String) -> Result<Self, HttpClientError> {
        let posting = tokio::task::spawn_blocking(move || {
            let created = client.post(&url, &offer)?;
            Ok(Self { client, created: Some(created) })
        });
        posting.await.unwrap_or_else(|_| Err(HttpClientError::Url(String::new())))
    }

    /// The SDP answer.
    pub(super) fn answer(&self) -> &str {
        self.created.as_ref().map(|created| created.answer.as_str()).unwrap_or_default()
    }

    /// Ends it, and waits until that is done.
    pub(super) async fn end(mut self) {
        if let (client, Some(created)) = (self.client.clone(), self.created.take()) {
            let ending = tokio::task::spawn_blocking(move || delete(&client, &created));
            // An error means that the runtime ends.
            let _ = ending.await;
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let (Some(created), Ok(runtime)) = (self.created.take(), tokio::runtime::Handle::try_current()) {
            let client = self.client.clone();
            drop(runtime.spawn_blocking(move || delete(&client, &created)));
        }
    }
}

fn delete(client: &HttpClient, created: &Created) {
    if let Err(error) = client.delete(created) {
        tracing::debug!("the other server's session was not ended: {error}");
    }
}

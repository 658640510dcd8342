//! A node, with the actions of its user.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use runtime::dto::{File, Password, PasswordProtection, Token};
use runtime::facade::{CreateTokenForFile, LoadFile, LoadPeerToken, Ownership, UploadOwnFile};
use runtime::{Address, Config, DeviceSharedSecret, FileId, MediaType, Result, Runtime, Secret};
use tokio::io::AsyncReadExt as _;

use crate::WorldClock;

/// A node that can be stopped and started again with the same data.
pub struct Node {
    config: Config,
    clock: WorldClock,
    runtime: Runtime,
    address: Address,
}

impl Node {
    /// Starts a node. The first start creates its identity.
    ///
    /// # Errors
    /// As for [`runtime::RuntimeBuilder::start`].
    pub async fn start(config: Config, clock: WorldClock) -> Result<Self> {
        let runtime = Runtime::builder(config.clone()).clock(Arc::new(clock.clone())).start().await?;
        let address = runtime.account().identity_info().await?.address;
        Ok(Self { config, clock, runtime, address })
    }

    /// Starts a node as another device of an identity.
    ///
    /// # Errors
    /// As for [`runtime::RuntimeBuilder::start`].
    pub async fn onboard(config: Config, clock: WorldClock, secret: DeviceSharedSecret) -> Result<Self> {
        let builder = Runtime::builder(config.clone()).clock(Arc::new(clock.clone())).onboard(secret);
        let runtime = builder.start().await?;
        let address = runtime.account().identity_info().await?.address;
        Ok(Self { config, clock, runtime, address })
    }

    /// The runtime itself.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Address of its identity.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Shuts it down, and returns what is needed to start it again.
    pub async fn stop(self) -> (Config, WorldClock) {
        self.runtime.shutdown().await.expect("an orderly end");
        (self.config, self.clock)
    }

    /// Restarts it.
    pub async fn restart(self) -> Self {
        let (config, clock) = self.stop().await;
        Self::start(config, clock).await.expect("a node starts again")
    }

    /// Uploads a file.
    ///
    /// # Errors
    /// As for [`runtime::facade::FilesFacade::upload_own_file`].
    pub async fn upload(&self, filename: &str, content: &[u8]) -> Result<File> {
        let mimetype = MediaType::of_header(Some("application/octet-stream"));
        self.upload_with(UploadOwnFile::new(Cursor::new(content.to_vec()), filename.parse()?, mimetype)).await
    }

    /// Uploads a file with further metadata.
    ///
    /// # Errors
    /// As for [`runtime::facade::FilesFacade::upload_own_file`].
    pub async fn upload_with(&self, request: UploadOwnFile) -> Result<File> {
        self.runtime.files().upload_own_file(request).await
    }

    /// Creates and stores a token for a file.
    ///
    /// # Errors
    /// As for [`runtime::facade::FilesFacade::create_token_for_file`].
    pub async fn share(&self, file: &File) -> Result<Token> {
        self.share_as(file, CreateTokenForFile::default()).await
    }

    /// Creates a token for a file with these terms.
    ///
    /// # Errors
    /// As for [`runtime::facade::FilesFacade::create_token_for_file`].
    pub async fn share_as(&self, file: &File, terms: CreateTokenForFile) -> Result<Token> {
        self.runtime.files().create_token_for_file(&file.id, terms).await
    }

    /// Loads a file by a reference.
    ///
    /// # Errors
    /// As for [`runtime::facade::FilesFacade::get_or_load_file`].
    pub async fn receive(&self, reference: &str) -> Result<File> {
        self.runtime.files().get_or_load_file(LoadFile { reference: reference.to_owned(), password: None }).await
    }

    /// Loads a file by the reference of a password-protected token.
    ///
    /// # Errors
    /// As for [`runtime::facade::FilesFacade::get_or_load_file`].
    pub async fn receive_with(&self, reference: &str, password: &str) -> Result<File> {
        let request = LoadFile { reference: reference.to_owned(), password: Some(Secret::new(password)) };
        self.runtime.files().get_or_load_file(request).await
    }

    /// Loads a token by its reference, and stores it.
    ///
    /// # Errors
    /// As for [`runtime::facade::TokensFacade::load_peer_token`].
    pub async fn load_token(&self, reference: &str) -> Result<Token> {
        let request = LoadPeerToken { reference: reference.to_owned(), ephemeral: false, password: None };
        self.runtime.tokens().load_peer_token(request).await
    }

    /// Downloads a stored file.
    ///
    /// # Errors
    /// As for [`runtime::facade::FilesFacade::download_file`].
    ///
    /// # Panics
    /// If verified content cannot be read.
    pub async fn download(&self, id: &FileId) -> Result<Vec<u8>> {
        let content = self.runtime.files().download_file(id, None).await?.content;
        let length = content.length();
        let mut bytes = Vec::new();
        content.into_reader().read_to_end(&mut bytes).await.expect("verified content can be read");
        assert_eq!(bytes.len() as u64, length, "content is as long as announced");
        Ok(bytes)
    }

    /// Loads a file by a reference, and downloads it.
    ///
    /// # Errors
    /// Those of [`Node::receive`] and [`Node::download`].
    pub async fn fetch(&self, reference: &str) -> Result<Vec<u8>> {
        self.download(&self.receive(reference).await?.id).await
    }

    /// All stored files.
    ///
    /// # Panics
    /// If the list cannot be read.
    pub async fn files(&self) -> Vec<File> {
        self.runtime
            .files()
            .files(Ownership::Any, &[])
            .expect("the query is valid")
            .collect()
            .await
            .expect("files can be listed")
    }

    /// All stored tokens.
    ///
    /// # Panics
    /// If the list cannot be read.
    pub async fn tokens(&self) -> Vec<Token> {
        self.runtime
            .tokens()
            .tokens(Ownership::Any, &[])
            .expect("the query is valid")
            .collect()
            .await
            .expect("tokens can be listed")
    }
}

/// Protection by a password.
#[must_use]
pub fn password(text: &str) -> Option<PasswordProtection> {
    Some(PasswordProtection::new(Password::new(text).expect("the password of a test is not empty")))
}

/// Protection by a PIN.
#[must_use]
pub fn pin(digits: &str) -> Option<PasswordProtection> {
    // Not checked here: tests send invalid ones, too.
    password(digits).map(|protection| PasswordProtection { password_is_pin: true, ..protection })
}

//! The least of a tus client: create an upload, send octets, read the answer's head.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, ensure};

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Longest line of an answer's head.
const LINE_BYTES_MAX: u64 = 16 * 1024;

/// Lines of an answer's head.
const LINES_MAX: usize = 100;

/// How much is handed to the socket at once.
const WRITE_BYTES: usize = 1 << 20;

/// The head of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
}

impl Answer {
    /// Reads one head; bodies are not expected where this client goes.
    fn read(stream: &TcpStream) -> anyhow::Result<Self> {
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut line = || -> anyhow::Result<String> {
            let mut line = String::new();
            std::io::Read::take(&mut lines, LINE_BYTES_MAX).read_line(&mut line)?;
            Ok(line.trim_end().to_owned())
        };
        let first = line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status line: {first:?}"))?;
        let mut headers = Vec::new();
        for _ in 0..LINES_MAX {
            let line = line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { status, headers })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Creates an upload on the server at `address` (`127.0.0.1:PORT`); its path.
pub(crate) fn create(address: &str, bytes: usize) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "POST /uploads HTTP/1.1\r\nHost: {address}\r\nTus-Resumable: 1.0.0\r\nUpload-Length: {bytes}\r\n\
         Upload-Metadata: filename YmVuY2gubXA0,filetype dmlkZW8vbXA0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let answer = Answer::read(&stream)?;
    ensure!(answer.status == 201, "the upload was not created: {}", answer.status);
    let location = answer.header("location").context("no Location")?;
    // Peers answer with the whole address.
    let path = location.split_once("://").map_or(location, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    Ok(path.to_owned())
}

/// The head of a request that sends `bytes` octets of the upload at `path` from its beginning.
pub(crate) fn append_head(address: &str, path: &str, bytes: usize) -> String {
    format!(
        "PATCH {path} HTTP/1.1\r\nHost: {address}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {bytes}\r\n\r\n"
    )
}

/// Sends a whole file in one request and waits for the answer.
pub(crate) fn append(address: &str, path: &str, file: &[u8]) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(append_head(address, path, file.len()).as_bytes())?;
    for piece in file.chunks(WRITE_BYTES) {
        stream.write_all(piece)?;
    }
    let answer = Answer::read(&stream)?;
    ensure!(answer.status == 204, "the file was not taken: {}", answer.status);
    let offset = answer.header("upload-offset").and_then(|offset| offset.parse().ok());
    ensure!(offset == Some(file.len()), "the server is at {offset:?}");
    Ok(())
}

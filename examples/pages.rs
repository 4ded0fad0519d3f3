//! Pages are fetched by a pool, and parsed in callbacks, which write a line a page into a file.
//!
//! The pages come from a small server that this program starts for itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use mp::prelude::*;

const PAGES: u32 = 20;

fn serve(listener: &TcpListener) -> std::io::Result<()> {
    for stream in listener.incoming() {
        let mut stream = stream?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte)? == 0 {
                break;
            }
            request.push(byte[0]);
        }
        let request = String::from_utf8_lossy(&request);
        let page = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        let body =
            format!("<html><title>Page {page}</title><p>{}</p></html>", "word ".repeat(page.len() * 3));
        write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
    Ok(())
}

fn fetch(server: SocketAddr, page: u32) -> std::io::Result<(u32, String)> {
    let mut stream = TcpStream::connect(server)?;
    write!(stream, "GET /{page} HTTP/1.0\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok((page, response))
}

/// The title and the number of words.
fn parse(response: &str) -> Option<(&str, usize)> {
    let (_, after) = response.split_once("<title>")?;
    let (title, rest) = after.split_once("</title>")?;
    Some((title, rest.matches("word").count()))
}

#[mp::main]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let server = listener.local_addr()?;
    std::thread::spawn(move || serve(&listener));

    let path = std::env::temp_dir().join(format!("mp-pages-{}.txt", std::process::id()));
    let file = Arc::new(Mutex::new(std::fs::File::create(&path)?));
    let pool = Pool::new(4)?;
    for page in 0..PAGES {
        let file = file.clone();
        pool.apply_with_callbacks(
            fetch,
            (server, page),
            move |(page, response)| {
                let line = match parse(&response) {
                    Some((title, words)) => format!("{page}: {title}, {words} words"),
                    None => format!("{page}: no page"),
                };
                println!("{line}");
                let written = file.lock().map(|mut file| writeln!(file, "{line}"));
                assert!(matches!(written, Ok(Ok(()))));
            },
            move |error| eprintln!("page {page}: {error}"),
        )?;
    }
    // Its callbacks were all called when it is gone.
    drop(pool);
    let lines = std::fs::read_to_string(&path)?;
    std::fs::remove_file(&path)?;
    assert_eq!(lines.lines().count(), PAGES as usize);
    assert!((0..PAGES).all(|page| lines.contains(&format!("{page}: Page {page}, "))));
    Ok(())
}

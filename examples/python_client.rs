//! A Python program works on the objects of this one: a stock `multiprocessing.managers.SyncManager` is connected to the session's gateway.

use std::process::Command;

use mp::manager::gateway::Address;
use mp::manager::{Any, Dict, Gateway, Handle};

const SCRIPT: &str = r#"
import sys
from multiprocessing.managers import SyncManager, DictProxy

class Session(SyncManager):
    pass

Session.register("get_stock", proxytype=DictProxy)
host, port = sys.argv[1].rsplit(":", 1)
session = Session((host, int(port)), authkey=b"open sesame")
session.connect()

stock = session.get_stock()
print("python sees", dict(stock.items()))
with session.Lock():
    stock["pears"] = stock["apples"] + 4
queue = session.Queue()
queue.put({"nested": [1, 2, 3]})
print("python gets", queue.get())
try:
    stock["plums"]
except KeyError as missing:
    print("python misses", missing)
"#;

#[mp::main]
fn main() -> mp::Result<()> {
    let stock = Dict::<Any, Any>::new()?;
    stock.insert("apples", Any::from(3))?;
    let gateway = Gateway::bind("127.0.0.1:0".parse::<Address>()?, "open sesame")?;
    gateway.offer("get_stock", &Handle::Dict(stock.clone()))?;

    match Command::new("python3").args(["-c", SCRIPT, &gateway.address().to_string()]).status() {
        Err(error) => println!("skipped: there is no python3 here ({error})"),
        Ok(status) => {
            assert!(status.success(), "the Python program failed: {status}");
            assert_eq!(stock.get("pears")?, Some(Any::from(7)));
            println!("rust sees pears: {}", stock.get("pears")?.unwrap_or_default());
        }
    }
    Ok(())
}

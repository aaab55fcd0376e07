//! `decode`: MACsec and MKA in a capture.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use serde_json::json;

use super::{
    args::{DecodeArgs, Global},
    exit::{Exit, Failure},
    terminal,
};
use crate::{
    api::model::API,
    decode::{self, CakError, ClearWriter, DecodeError, Decoder, KeyError, Summary},
    show,
};

/// What `--help` says of keys.
pub(super) const HELP: &str = "\
What may be known about a SAK:
  sci=SCI       only for frames of this SC, such as 02:00:5e:10:00:01/0001; without it, for all
  an=AN         only for frames with this association number; without it, for all
  suite=SUITE   gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128 or gcm-aes-xpn-256; without it, by length and salt
  salt=HEX      24 hexadecimal digits: XPN suites need them
  ssci=N        the sender's short SCI; without it, 1 to 8 are tried
  pn-high=N     upper 32 bits of the first packet number; without it, 0 to 255 are tried
  offset=N      octets in clear (0, 30, 50); without it, all three are tried

With --ckn and --cak none of this is needed, if the capture holds the MKPDU that distributes the SAK.

A key in a file is not seen by other users of this machine; one on the command line is.
A capture that is cut or damaged gives what was readable, and code 1.";

/// Decodes the capture.
pub(super) fn decode(global: &Global, options: &DecodeArgs) -> Result<Exit, Failure> {
    let caks = decode::read_caks(&options.ckn, &options.cak).map_err(|why| bad_cak(&why))?;
    let mut decoder = Decoder::with_caks(&caks);
    if options.show_keys {
        decoder.reveal_saks();
    }
    for (at, text) in options.sak.iter().enumerate() {
        decoder.add_key(text.read().map_err(|why| bad_key(at, &why))?);
    }
    let piped = options.file == Path::new("-");
    let name = if piped { "standard input".to_owned() } else { options.file.display().to_string() };
    let input = open(&options.file)?;
    let clear = options.write.as_deref().map(|path| create(path, &options.file)).transpose()?;
    let summary = decode::decode(input, decoder, clear).map_err(|error| failure(&name, options, &error))?;
    if global.json {
        terminal::print_json(&document(&name, &summary))?;
    } else {
        let text = show::decoded(&terminal::look(global.color), &summary);
        terminal::print(text.as_bytes())?;
    }
    match summary.problem {
        None => Ok(Exit::Done),
        Some(problem) => Err(Failure::new(Exit::Failed, format_args!("{name} {problem}"))
            .help("what was in front of that place was decoded; what may have been behind it is missing")),
    }
}

fn bad_key(at: usize, why: &KeyError) -> Failure {
    let failure = Failure::new(Exit::Usage, format_args!("--sak number {}: {why}", at + 1));
    match why {
        KeyError::File { path, why: config::SecretError::WorldReadable { .. } } => failure.help(format!(
            "make it private: chmod o= {path}; and if others may have read it, make a new key"
        )),
        KeyError::File { .. } => failure,
        KeyError::Malformed
        | KeyError::UnknownPart(_)
        | KeyError::Value { .. }
        | KeyError::Length { .. }
        | KeyError::SaltNeeded(_)
        | KeyError::OnlyXpn { .. }
        | KeyError::OffsetWithXpn => failure.help("see `quadspan decode --help`"),
    }
}

fn bad_cak(why: &CakError) -> Failure {
    let failure = Failure::new(Exit::Usage, why);
    match why {
        CakError::File { path, why: config::SecretError::WorldReadable { .. } } => failure.help(format!(
            "make it private: chmod o= {path}; and if others may have read it, make a new key"
        )),
        CakError::File { .. } => failure,
        CakError::Ckn | CakError::Cak | CakError::Pairs { .. } => {
            failure.help("see `quadspan decode --help`")
        }
    }
}

fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    let file = opened.map_err(|why| cannot("read", path, &why))?;
    Ok(Box::new(BufReader::with_capacity(1 << 18, file)))
}

/// Decrypted frames are nobody else's business: the file is its owner's alone.
fn create(path: &Path, input: &Path) -> Result<ClearWriter<BufWriter<File>>, Failure> {
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    if let (Ok(from), Ok(to)) = (fs::metadata(input), fs::metadata(path))
        && same(&from, &to)
    {
        return Err(Failure::new(Exit::Usage, format_args!("{} is the capture itself", path.display()))
            .help("write the decrypted frames to another file"));
    }
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let file = file.map_err(|why| cannot("write", path, &why))?;
    ClearWriter::new(BufWriter::new(file))
        .map_err(|why| Failure::new(Exit::Failed, format_args!("cannot write {}: {why}", path.display())))
}

fn cannot(what: &str, path: &Path, why: &io::Error) -> Failure {
    let exit = if why.kind() == io::ErrorKind::PermissionDenied { Exit::NotPermitted } else { Exit::Failed };
    Failure::new(exit, format_args!("cannot {what} {}: {why}", path.display()))
}

fn failure(name: &str, options: &DecodeArgs, error: &DecodeError) -> Failure {
    match error {
        DecodeError::Capture(_) => Failure::new(Exit::Failed, format_args!("{name} {error}"))
            .help("give a capture of Ethernet frames, as tcpdump -w or Wireshark write it"),
        DecodeError::Write(_) => {
            let path = options.write.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            Failure::new(Exit::Failed, format_args!("{path} {error}"))
        }
    }
}

fn document(name: &str, summary: &Summary) -> serde_json::Value {
    let mut document = json!({ "api": API, "kind": "Decode", "file": name });
    if let (Some(document), Ok(serde_json::Value::Object(summary))) =
        (document.as_object_mut(), serde_json::to_value(summary))
    {
        document.extend(summary);
    }
    document
}

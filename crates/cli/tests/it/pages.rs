//! Lists that are longer than a page, through the binary.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::World;

/// Follows what a list says under `next` to its end; returns what `field` of its rows says, page by page.
fn pages(world: &World, arguments: &[&str], rows: &str, field: &str) -> Vec<Vec<String>> {
    let (mut found, mut after): (Vec<Vec<String>>, Option<String>) = (Vec::new(), None);
    loop {
        let mut all = arguments.to_vec();
        if let Some(cursor) = &after {
            all.extend(["--after", cursor]);
        }
        let page = world.json(&all);
        let rows = page[rows].as_array().unwrap();
        found.push(rows.iter().map(|row| row[field].to_string()).collect());
        match &page["next"] {
            Value::String(cursor) => after = Some(cursor.clone()),
            _ => return found,
        }
    }
}

/// The command that a list says shows more.
fn more(told: &str) -> Option<Vec<String>> {
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("more: custody "))?;
    Some(line.split(' ').map(ToOwned::to_owned).collect())
}

#[test]
fn lists_go_on_where_they_stopped_and_tell_everything_once() {
    let world = World::empty();
    world.yes(&["init"]);
    for name in ["demo/b", "demo/a", "demo/b", "other/c", "demo/b"] {
        world.write("file", name);
        world.yes(&["put", name, "file"]);
    }
    let whole = pages(&world, &["ls"], "versions", "name");
    assert_eq!(whole.len(), 1, "a short list is one page");
    for (limit, sizes) in [("1", vec![1; 5]), ("2", vec![2, 2, 1]), ("5", vec![5])] {
        let paged = pages(&world, &["ls", "--limit", limit], "versions", "name");
        assert_eq!(paged.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        assert_eq!(paged.concat(), whole[0]);
    }
    let of_one = pages(
        &world,
        &["ls", "demo/b", "--limit", "2"],
        "versions",
        "name",
    );
    assert_eq!(of_one.concat().len(), 3);
    // What the list says is typed as it stands.
    let told = world.yes(&["ls", "demo/b", "--kind", "dataset", "--limit", "2"]);
    let next = more(&told).unwrap();
    let next: Vec<_> = next.iter().map(String::as_str).collect();
    let told = world.yes(&next);
    assert!(told.contains("demo/b@3") && more(&told).is_none(), "{told}");
    // What comes meanwhile moves nothing.
    let first = world.json(&["ls", "--limit", "2"]);
    world.write("file", "new");
    world.yes(&["put", "demo/a", "file"]);
    let cursor = first["next"].as_str().unwrap();
    let second = world.json(&["ls", "--limit", "1", "--after", cursor]);
    assert_eq!(second["versions"][0]["name"], "demo/b@2", "{second}");
    world.told(
        &["ls", "--after", "nonsense"],
        2,
        "no place where this list goes on",
    );
    world.told(&["ledger", "log", "--after", cursor], 2, "no place where");
    world.told(
        &["ls", "--quarantine", "--after", cursor],
        2,
        "no place where",
    );
    for list in [
        ["ls", "--limit", "0"].as_slice(),
        &["ledger", "log", "--limit", "0"],
    ] {
        world.told(list, 2, "--limit");
    }
}

#[test]
fn the_log_is_found_by_actor_action_resource_and_time_in_pages() {
    let world = World::empty();
    world.yes(&["init"]);
    for round in 0..4 {
        world.write("file", &round.to_string());
        world.yes(&["put", "demo/a", "file"]);
        world.yes(&["put", "demo/ab", "file"]);
        world.yes(&["ls"]);
    }
    let all = world.json(&["ledger", "log", "--limit", "10000"]);
    let all = all["entries"].as_array().unwrap();
    let last = all.len();
    let check = |filter: &[&str], matches: &dyn Fn(&Value) -> bool| {
        let expected: Vec<_> = all
            .iter()
            .filter(|row| matches(&row["entry"]))
            .map(|row| row["index"].to_string())
            .collect();
        for limit in ["1", "3", "1000"] {
            let arguments = [&["ledger", "log", "--limit", limit], filter].concat();
            let mut paged = pages(&world, &arguments, "entries", "index");
            // Pages go back in time; a page is in order.
            paged.reverse();
            let mut found = paged.concat();
            // The commands that read it are entered too.
            found.retain(|index| index.parse::<usize>().unwrap() < last);
            assert_eq!(found, expected, "{arguments:?}");
        }
    };
    let named = |entry: &Value, wanted: &dyn Fn(&str) -> bool| {
        let objects = entry["obj"].as_array().unwrap();
        objects
            .iter()
            .any(|object| wanted(object["n"].as_str().unwrap()))
    };
    let owner = all[0]["actor"].as_str().unwrap();
    check(&["--resource", "demo/a"], &|entry| {
        named(entry, &|name| name.starts_with("demo/a"))
    });
    check(&["--resource", "demo/ab"], &|entry| {
        named(entry, &|name| name.starts_with("demo/ab"))
    });
    check(&["--resource", "demo/a@2"], &|entry| {
        named(entry, &|name| name == "demo/a@2")
    });
    check(
        &[
            "--action",
            "object.write",
            "--outcome",
            "ok",
            "--actor",
            owner,
        ],
        &|entry| entry["act"] == "object.write" && entry["out"] == "ok",
    );
    check(&["--actor", "nobody"], &|_| false);
    let middle = all[last / 2]["entry"]["ts"].as_str().unwrap();
    check(&["--until", middle], &|entry| {
        entry["ts"].as_str().unwrap() < middle
    });
    check(&["--since", middle, "--action", "object"], &|entry| {
        entry["ts"].as_str().unwrap() >= middle
            && entry["act"].as_str().unwrap().starts_with("object.")
    });
    let verbs: BTreeSet<_> = all
        .iter()
        .map(|row| row["entry"]["act"].to_string())
        .collect();
    assert!(verbs.len() > 2, "{verbs:?}");
}

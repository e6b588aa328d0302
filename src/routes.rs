//! Method and path to a row of a table of routes. The table itself stands with the endpoints.

use crate::access::Guard;
use crate::problem::Problem;
use crate::quota::LimitGroup;
use http::Method;

/// A row of the table. A field that is left out does not compile, rather than stand open.
pub(crate) struct Route<H> {
    /// The path's template, by which the route is called, and other templates that lead here.
    pub(crate) templates: &'static [&'static str],
    pub(crate) method: RouteMethod,
    pub(crate) guard: Guard,
    /// The limit that a request counts against; `None` for none: a load balancer's question, and a database's webhook,
    /// of which every one matters.
    pub(crate) limit: Option<LimitGroup>,
    pub(crate) handler: H,
}

/// The methods of a route.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RouteMethod {
    /// `GET`, and `HEAD`, which asks for the same.
    Get,
    Post,
    Delete,
}

impl RouteMethod {
    /// The methods as `allow` lists them.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            RouteMethod::Get => "GET, HEAD",
            RouteMethod::Post => "POST",
            RouteMethod::Delete => "DELETE",
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method.as_str())
    }
}

/// The parts of a path that its template leaves open, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathParameters<'a>(Vec<(&'static str, &'a str)>);

impl<'a> PathParameters<'a> {
    /// The part of a name; empty if the template has none.
    pub(crate) fn get(&self, name: &str) -> &'a str {
        self.find(name).unwrap_or_default()
    }

    /// The part of a name, if the template has it.
    pub(crate) fn find(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, part)| *part)
    }
}

/// Matches a path against a template whole and to the letter: `{name}` stands for any one segment.
pub fn match_template<'a>(template: &'static str, path: &'a str) -> Option<PathParameters<'a>> {
    let (mut wanted, mut given) = (segments(template), segments(path));
    let mut parameters = PathParameters::default();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(wanted), Some(given)) => match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) => parameters.0.push((name, given)),
                None if wanted == given => {}
                None => return None,
            },
            _ => return None,
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// The rows of a path, and the parts of it that they leave open.
pub(crate) struct PathMatch<'t, 'a, H> {
    rows: Vec<&'t Route<H>>,
    pub(crate) parameters: PathParameters<'a>,
}

/// Finds the rows of a path, or `None` if there is nothing at it. The first row that matches decides; others of its
/// template differ in their method.
pub(crate) fn find_path<'t, 'a, H>(table: &'t [Route<H>], path: &'a str) -> Option<PathMatch<'t, 'a, H>> {
    let of = |route: &Route<H>| route.templates.iter().find_map(|template| match_template(template, path));
    let (first, parameters) = table.iter().find_map(|route| Some((route, of(route)?)))?;
    let rows = table.iter().filter(|route| route.templates == first.templates).collect();
    Some(PathMatch { rows, parameters })
}

impl<'t, H> PathMatch<'t, '_, H> {
    /// The path's template, by which it is called in metrics and in the log.
    pub(crate) fn name(&self) -> &'static str {
        self.rows.first().and_then(|route| route.templates.first()).copied().unwrap_or("none")
    }

    /// The methods of the path, as `allow` lists them.
    pub(crate) fn allow(&self) -> String {
        self.rows.iter().map(|route| route.method.allow()).collect::<Vec<_>>().join(", ")
    }

    /// Finds the row of a method. Errors with the methods of the path if it does not take this one.
    pub(crate) fn route(&self, method: &Method) -> Result<&'t Route<H>, Problem> {
        let route = self.rows.iter().find(|route| route.method.takes(method)).copied();
        route.ok_or_else(|| Problem::MethodNotAllowed { allow: self.allow() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn row(templates: &'static [&'static str], method: RouteMethod, handler: u8) -> Route<u8> {
        Route { templates, method, guard: Guard::Open, limit: None, handler }
    }

    static TABLE: [Route<u8>; 5] = [
        row(&["/"], RouteMethod::Get, 1),
        row(&["/people/batch"], RouteMethod::Post, 2),
        row(&["/people/{id}"], RouteMethod::Get, 3),
        row(&["/people/{id}"], RouteMethod::Delete, 4),
        row(&["/models/{name}", "/models/{name}/versions/{version}"], RouteMethod::Get, 5),
    ];

    fn find(method: Method, path: &str) -> Result<(u8, &'static str), Problem> {
        let found = find_path(&TABLE, path).ok_or(Problem::NoSuchRoute)?;
        Ok((found.route(&method)?.handler, found.name()))
    }

    fn not_allowed(allow: &str) -> Result<(u8, &'static str), Problem> {
        Err(Problem::MethodNotAllowed { allow: allow.to_owned() })
    }

    #[test]
    fn a_path_is_matched_whole_and_to_the_letter() {
        assert_eq!(find(Method::GET, "/"), Ok((1, "/")));
        assert_eq!(find(Method::HEAD, "/people/x"), Ok((3, "/people/{id}")));
        for path in ["//", "/people", "/people/x/", "/People/x", "/people//x", "/%70eople/x", ""] {
            if path.is_empty() {
                assert_eq!(find(Method::GET, path), Ok((1, "/")), "an empty path is the root");
            } else {
                assert_eq!(find(Method::GET, path), Err(Problem::NoSuchRoute), "{path}");
            }
        }
    }

    #[test]
    fn the_first_template_decides_and_the_method_chooses_within_it() {
        assert_eq!(find(Method::POST, "/people/batch"), Ok((2, "/people/batch")));
        assert_eq!(find(Method::GET, "/people/batch"), not_allowed("POST"));
        assert_eq!(find(Method::DELETE, "/people/x"), Ok((4, "/people/{id}")));
        assert_eq!(find(Method::PUT, "/people/x"), not_allowed("GET, HEAD, DELETE"));
    }

    #[test]
    fn another_template_of_a_route_has_the_same_name_and_more_parameters() {
        let found = find_path(&TABLE, "/models/a/versions/1").expect("a route");
        assert_eq!((found.name(), found.parameters.get("name")), ("/models/{name}", "a"));
        assert_eq!(found.parameters.find("version"), Some("1"));
        assert_eq!(find_path(&TABLE, "/models/a").expect("a route").parameters.find("version"), None);
        assert!(find_path(&TABLE, "/models/a/versions").is_none());
    }
}

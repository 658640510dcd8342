//! A scripted backbone for the tests of this module.
